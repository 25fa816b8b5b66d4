"""WPT and ACDP (clauses 8.3.4.6 and 8.3.4.7): read and answered in their own types, and not offered.

No response says so better than the sequence error of a message that nothing led to.
"""

from secc.v2g.elements import Elements
from secc.v2g.quantities import rational_number

_ZERO = rational_number(0.0)
_FINISHED: Elements = {"EVSEProcessing": "Finished"}

# The request, and what its response must carry beside the code.
WPT: dict[str, Elements] = {
    "WPT_FinePositioningSetupReq": {
        "PrimaryDeviceFinePositioningMethodList": {"WPT_FinePositioningMethod": ["Manual"]},
        "PrimaryDevicePairingMethodList": {"WPT_PairingMethod": ["External confirmation"]},
        "PrimaryDeviceAlignmentCheckMethodList": {"WPT_AlignmentCheckMethod": ["PowerCheck"]},
        "NaturalOffset": 0,
    },
    "WPT_FinePositioningReq": _FINISHED,
    "WPT_PairingReq": _FINISHED,
    "WPT_ChargeParameterDiscoveryReq": {
        "PDInputPowerClass": "MF-WPT1",
        "SDMinOutputPower": _ZERO,
        "SDMaxOutputPower": _ZERO,
        "SDMaxGroundClearanceSupport": 0,
        "SDMinGroundClearanceSupport": 0,
        "PDMinCoilCurrent": _ZERO,
        "PDMaxCoilCurrent": _ZERO,
    },
    "WPT_AlignmentCheckReq": _FINISHED,
    "WPT_ChargeLoopReq": {
        "EVPCPowerRequest": _ZERO,
        "SPCMaxOutputPowerLimit": _ZERO,
        "SPCMinOutputPowerLimit": _ZERO,
        "SPCChargeDiagnostics": "SPCNoIssue",
    },
}

ACDP: dict[str, Elements] = {
    "ACDP_VehiclePositioningReq": {
        **_FINISHED,
        "EVSEPositioningSupport": False,
        "EVRelativeXDeviation": 0,
        "EVRelativeYDeviation": 0,
        "ContactWindowXc": 0,
        "ContactWindowYc": 0,
        "EVInChargePosition": False,
    },
    "ACDP_ConnectReq": {
        **_FINISHED,
        "EVSEElectricalChargingDeviceStatus": "State_A",
        "EVSEMechanicalChargingDeviceStatus": "Home",
    },
    "ACDP_DisconnectReq": {
        **_FINISHED,
        "EVSEElectricalChargingDeviceStatus": "State_A",
        "EVSEMechanicalChargingDeviceStatus": "Home",
    },
    "ACDP_SystemStatusReq": {
        "EVSEMechanicalChargingDeviceStatus": "Home",
        "EVSEReadyToCharge": False,
        "EVSEIsolationStatus": "Invalid",
        "EVSEDisabled": True,
        "EVSEUtilityInterruptEvent": False,
        "EVSEEmergencyShutdown": False,
        "EVSEMalfunction": False,
        "EVInChargePosition": False,
        "EVAssociationStatus": False,
    },
}
