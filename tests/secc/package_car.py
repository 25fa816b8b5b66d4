"""The iso15118 package's EVCC for what `sim.vehicle` does not drive: DIN SPEC 70121 and ISO 15118-20."""

import json
import random
from collections.abc import Callable
from pathlib import Path

from iso15118.evcc import evcc_settings
from iso15118.evcc.controller.simulator import SimEVController
from iso15118.evcc.evcc_config import EVCCConfig
from iso15118.shared.messages.iso15118_20.common_types import RationalNumber
from iso15118.shared.settings import SettingKey, load_shared_settings, shared_settings

from sim.vehicle.controller import ChargeGoal
from sim.vehicle.evcc import Ending, EvccOptions, SessionEnd, _Session
from sim.vehicle.exi_codec import ExiCodec
from sim.vehicle.log import EventLog
from tests.secc.private_net import EVCC

BATTERY_V = 380

# The package's model takes no schedule without prices; the schema does.
PRICES = {
    "TimeAnchor": 0,
    "PriceScheduleID": 1,
    "NumberOfPriceLevels": 0,
    "PriceLevelScheduleEntries": {"PriceLevelScheduleEntry": [{"Duration": 3600, "PriceLevel": 0}]},
}


class Controller(SimEVController):
    """The package's simulated vehicle with a battery of a likely voltage, in a hurry."""

    async def get_present_voltage(self) -> RationalNumber:
        return RationalNumber(exponent=0, value=BATTERY_V)

    async def get_target_voltage(self) -> RationalNumber:
        return RationalNumber(exponent=0, value=BATTERY_V)

    async def charge_loop_delay(self) -> float:
        return 0.05


class Codec(ExiCodec):
    """Notes each response, and adds the prices that the package's model wants."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.ended: Callable[[Ending, str], None] = lambda _ending, _detail: None

    def decode(self, stream: bytes, namespace: str) -> str:
        document = json.loads(super().decode(stream, namespace))
        ((name, content),) = document.items()
        if name == "V2G_Message":
            ((name, content),) = content["Body"].items()
        for offered in content.get("Scheduled_SEResControlMode", {}).get("ScheduleTuple", []):
            offered["ChargingSchedule"]["PriceLevelSchedule"] = PRICES
        code = content.get("ResponseCode", "")
        self.heard.append((name, code))
        if code.startswith(("FAILED", "Failed")):
            self.ended(Ending.REFUSED, f"{name} {code}")
        elif name == "SessionStopRes":
            self.ended(Ending.STOPPED, "")
        return json.dumps(document)


class Car(_Session):
    """A session that only notes: there is no charger to drive."""

    def _sent(self, name: str, _body: object, _session_id: str) -> None:
        self._last_sent = name
        if name == "supportedAppProtocolReq":
            self._note_connection()

    def _received(self, _name: str, _body: object, _session_id: str) -> None:
        """The codec has heard it."""


async def charge(
    pki: Path,
    folder: Path,
    *,
    protocols: list[str],
    services: list[str],
    tls: bool,
    tls_13: bool = True,
    loops: int = 3,
    configure: Callable[[EVCCConfig], None] = lambda _config: None,
    **config_values: object,
) -> tuple[SessionEnd, list[tuple[str, str]]]:
    """One session to its end: how it ended, and each response with its code."""
    load_shared_settings()
    shared_settings[SettingKey.PKI_PATH] = str(pki)
    shared_settings[SettingKey.MESSAGE_LOG_JSON] = False
    shared_settings[SettingKey.ENABLE_TLS_1_3] = tls_13
    evcc_settings.RESUME_SELECTED_AUTH_OPTION = None
    random.seed(15118)
    config = EVCCConfig.parse_obj(
        {
            "supportedProtocols": protocols,
            "supportedEnergyServices": services,
            "useTls": tls,
            "enforceTls": tls,
            "sdpRetryCycles": 1,
            "chargeLoopCycle": loops,
            **config_values,
        }
    )
    config.load_raw_values()
    configure(config)
    codec = Codec()
    options = EvccOptions(interface=EVCC, pki=pki, tls=tls, contract=False, goal=ChargeGoal(1.0), loop_delay_s=0.05)
    with EventLog(folder / "car.jsonl") as events:
        car = Car(options, config, codec, Controller(config), None, events)
        codec.ended = car._ended
        try:
            return await car.run(), codec.heard
        finally:
            await car.close()
