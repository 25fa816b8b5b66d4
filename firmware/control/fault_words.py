"""What a technician is told of faults, refused contracts and ended V2G sessions, and what to do about each."""

from hal.ports import Fault
from secc.ports import ContractFault, EndReason

FAULTS: dict[Fault, tuple[str, str]] = {
    Fault.CONNECTOR_LOCK_FAILURE: (
        "the connector lock did not reach its end position",
        "look for dirt or a bent pin at the lock; push the plug home and try again",
    ),
    Fault.GROUND_FAILURE: (
        "the protective earth is not sound",
        "measure the earth loop at the station's supply before anything else",
    ),
    Fault.HIGH_TEMPERATURE: ("the station is hot and gives less current", "look at the fan, the filter and the sun"),
    Fault.OVER_CURRENT_FAILURE: (
        "the vehicle drew more than it was offered",
        "try another vehicle; if it trips too, check the current transformers",
    ),
    Fault.OVER_VOLTAGE: ("the mains voltage is too high", "measure all phases to neutral; a lost neutral shows so too"),
    Fault.UNDER_VOLTAGE: ("the mains voltage is too low", "measure all phases to neutral under load"),
    Fault.EMERGENCY_STOP: ("the emergency stop is pressed", "find out why, then release it"),
    Fault.INVALID_VEHICLE_MODE: (
        "the vehicle asks for a mode this station cannot serve",
        "try another vehicle; note make and model",
    ),
    Fault.PILOT_FAULT: (
        "the control pilot is out of its levels (short, broken wire or water)",
        "unplug; without a vehicle the pilot must read +12 V at the connector",
    ),
    Fault.POWER_LOSS: ("a phase of the supply is missing", "check the fuses and the breaker upstream"),
    Fault.EVSE_CONTACTOR_FAULT: (
        "the contactor does not follow its command (welded or stuck)",
        "switch the supply off and measure across the contacts; replace it, do not reset it",
    ),
    Fault.CABLE_OVER_TEMP_DERATE: ("the plug or cable is hot and gives less current", "look for a worn contact"),
    Fault.CABLE_OVER_TEMP_STOP: ("the plug or cable is too hot", "let it cool; replace a discoloured plug or inlet"),
    Fault.PROXIMITY_FAULT: (
        "the proximity pilot reads no known cable",
        "push the plug home; measure PP to PE: 1500, 680, 220 or 100 ohm",
    ),
    Fault.DIODE_FAULT: (
        "no diode in the vehicle's pilot circuit: this may be no vehicle",
        "unplug whatever is at the connector",
    ),
    Fault.VENTILATION_NOT_AVAILABLE: (
        "the vehicle asks for ventilation (state D) and there is none",
        "such a vehicle may charge outdoors only",
    ),
    Fault.RESIDUAL_CURRENT: (
        "the residual current device tripped",
        "unplug and reset; if it trips without a vehicle, measure the insulation",
    ),
    Fault.COMMUNICATION_FAULT: (
        "the safety MCU does not answer",
        "check the serial line in the configuration and the MCU's supply",
    ),
    Fault.POWER_METER_FAILURE: (
        "the energy meter does not answer",
        "check the meter's supply, its bus and its unit number",
    ),
    Fault.ENCLOSURE_OPEN: (
        "the station's enclosure is open: the operator is told of tampering",
        "close it; if nobody of yours opened it, look for what was changed",
    ),
    Fault.CABLE_CHECK_FAULT: (
        "the cable check did not pass: a short circuit, no voltage, or a monitor that failed its self-test",
        "try another vehicle; if it fails too, measure the cable without one",
    ),
    Fault.RESISTANCE_FAULT: (
        "the insulation between the DC output and earth is too low",
        "unplug; if it stays, look for water in the connector and measure the cable",
    ),
    Fault.CONNECTOR_VOLTAGE_HIGH: (
        "there is voltage at the connector where there must be none",
        "keep off the connector; look for a welded contactor and a dead discharge circuit",
    ),
    Fault.VOLTAGE_PLAUSIBILITY: (
        "supply, insulation monitor and meter disagree about the output's voltage",
        "measure the output and compare each device with it",
    ),
    Fault.POWER_SUPPLY_FAILURE: (
        "the DC supply does not answer, or reports a fault",
        "check the modules' lamps, their mains and the CAN bus with its terminators",
    ),
    Fault.ISOLATION_MONITOR_FAILURE: (
        "the insulation monitor does not answer, or reports a fault",
        "check its supply, its bus and its unit number",
    ),
    Fault.VENDOR_ERROR: ("the board reports an error of its own", "see its text in `evse faults`"),
    Fault.VENDOR_WARNING: ("the board reports a warning of its own", "see its text in `evse faults`"),
}

CONTRACTS: dict[ContractFault, str] = {
    ContractFault.NO_CHAIN: "the vehicle has a contract but showed no certificates for it",
    ContractFault.MALFORMED: "the vehicle's contract certificate cannot be read",
    ContractFault.UNKNOWN_ROOT: "the vehicle's contract is by an issuer this station does not trust",
    ContractFault.BAD_SIGNATURE: "the vehicle's contract chain is not signed as it says",
    ContractFault.EXPIRED: "the vehicle's contract certificate has expired",
    ContractFault.NOT_YET_VALID: "the vehicle's contract certificate is not valid yet, or the station's clock is wrong",
    ContractFault.WRONG_USAGE: "the vehicle's contract certificate is not one for charging",
    ContractFault.EMAID_MISMATCH: "the vehicle names another contract than its certificate",
    ContractFault.EMAID_SYNTAX: "the vehicle's contract id is malformed",
}

CONTRACT_REMEDIES: dict[ContractFault, str] = {
    ContractFault.UNKNOWN_ROOT: "if this issuer should be served: have the operator install its MO root",
    ContractFault.EXPIRED: "the driver must have the contract renewed; a card works meanwhile",
    ContractFault.NOT_YET_VALID: "compare the station's time with your own",
}
CONTRACT_REMEDY = "the driver must ask the mobility operator; a card works meanwhile"

ENDS: dict[EndReason, tuple[str, str]] = {
    EndReason.TERMINATED: ("the vehicle ended its session", "unplug, or plug in again for a new one"),
    EndReason.PAUSED: ("the vehicle paused its session", "it wakes by itself when its timer says so"),
    EndReason.CONNECTION_LOST: (
        "the vehicle's connection broke off",
        "plug in again; see `evse plc info` if it recurs",
    ),
    EndReason.SETUP_TIMEOUT: ("the vehicle's modem joined, but the vehicle said nothing", "plug in again"),
    EndReason.SEQUENCE_TIMEOUT: ("the vehicle fell silent in the middle of its session", "plug in again"),
    EndReason.PROTOCOL_ERROR: ("the vehicle broke the ISO 15118 protocol", "keep `evse session show` for the vendor"),
    EndReason.REFUSED: ("the station refused the vehicle's session", "see the code in `evse session show`"),
    EndReason.TLS_FAILED: (
        "the TLS handshake with the vehicle failed",
        "most often the vehicle does not trust the station's certificate: see `evse certs list`",
    ),
    EndReason.LINK_DOWN: ("the powerline link went down", "plug in again; see `evse plc info` if it recurs"),
}

RCD_FAILED = (
    "the residual current device failed its self-test before the session",
    "unplug and plug in again for another test; if it fails too, replace the device",
)
