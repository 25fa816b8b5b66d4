"""A DC output as the SECC sees it. Pure."""

from firmware.config import Dc
from hal.dc.ports import DcLevels
from secc.ports import DcView, Insulation


def dc_view(levels: DcLevels, settings: Dc) -> DcView:
    able = levels.capabilities
    return DcView(
        present_voltage_v=levels.voltage_v,
        present_current_a=levels.current_a,
        max_voltage_v=able.max_voltage_v,
        max_current_a=able.max_current_a,
        max_power_w=levels.max_power_w,
        min_voltage_v=able.min_voltage_v,
        min_current_a=settings.min_current_a,
        peak_ripple_a=settings.peak_ripple_a,
        cable_check_id=levels.check_id,
        cable_check=Insulation[levels.insulation.name],
        max_discharge_current_a=able.max_import_current_a,
        max_discharge_power_w=able.max_import_power_w,
    )
