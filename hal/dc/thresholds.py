"""Every limit of the DC power path, with its unit and where it comes from. Pure.

IEC 61851-23 is behind all of them; its numbers are here as public drivers and manuals give them. # unverified: clauses
"""

SAFE_V = 60.0
"""Below this a conductor may be touched (IEC 61851-23, IEC 60479): contactors close and connectors unlock only then."""

CABLE_CHECK_CURRENT_A = 2.0
"""Most that flows during the cable check and the pre-charge."""
CABLE_CHECK_HEADROOM_V = 50.0
CABLE_CHECK_KNEE_V = 500.0
CABLE_CHECK_FACTOR = 1.1
CABLE_CHECK_TOLERANCE_V = 10.0
"""The test voltage is reached when the output is as near as this: the accuracy IEC 61851-23 asks of the output too."""
CABLE_CHECK_RAMP_S = 10.0
CABLE_CHECK_LIMIT_S = 25.0
"""The whole check. ISO 15118-2 gives 38 s, but there are vehicles that give up after 30."""
MEASUREMENTS = 3
"""Insulation values after the self-test before there is a verdict; all must be good."""

SHORT_CIRCUIT_OHM = 110.0
"""Less between DC+ and DC- is a short circuit; with 2 A it shows below 220 V."""
SHORT_CIRCUIT_S = 1.0
"""By then a short circuit must be known, and its current below 5 A (it is never above `CABLE_CHECK_CURRENT_A`)."""
SHORT_CIRCUIT_TEST_V = CABLE_CHECK_CURRENT_A * SHORT_CIRCUIT_OHM

INSULATION_FAULT_KOHM = 100.0
"""100 ohm a volt at 1000 V. The edition of 2023 knows no warning level above it."""

PRE_CHARGE_TOLERANCE_V = 20.0
"""The vehicle may close its contactors, and we give power, when output and battery are as near as this."""

RAMP_A_PER_S = 25.0
"""How fast the current rises, and falls in an orderly stop. What the vehicle wants less is followed at once."""
RAMP_DOWN_LIMIT_S = 4.0
"""After this the supply is switched off whatever still flows."""
NO_CURRENT_A = 1.0
"""What a DC contactor may break without harm."""
SWITCH_OFF_LIMIT_S = 1.0
"""How long the opening waits for the current to end once the supply is told to switch off."""
DISCHARGE_LIMIT_S = 10.0
"""How long the connector may take to fall below `SAFE_V` once it is cut off: the vehicle looks for welded contacts of
its own first, with the battery's voltage at the inlet."""
CLOSE_LIMIT_S = 3.0

OVER_VOLTAGE_EMERGENCY_V = ((500.0, 550.0), (750.0, 825.0), (850.0, 935.0), (1000.0, 1100.0))
"""(up to this negotiated maximum, emergency from this): for 9 ms, then shutdown within 1 ms. The board does that in
hardware; this is what the monitor is set to, and what our own samples are held against."""
OVER_VOLTAGE_EMERGENCY_HIGHEST_V = 1375.0
OVER_VOLTAGE_ERROR_S = 0.4
"""Above the negotiated maximum for less than 200 ms is allowed; for more than 400 ms is an error, shutdown in 50 ms."""

SPREAD_V = 50.0
SPREAD_S = 30.0
"""Supply, insulation monitor, meter and over-voltage monitor measure one voltage; this far apart one of them lies."""

TO_EARTH_FACTOR = 1.1
TO_EARTH_FIXED_V = 550.0
"""Of DC+ or DC- to earth: 110 % of the voltage present; at outputs of up to 500 V this instead (clause 6.3.1.112.2)."""
TO_EARTH_S = 2.0
TO_EARTH_READINGS = 2

OVER_CURRENT_S = 6.0
OVER_CURRENT_OFFSET_A = 0.5
OVER_CURRENT_FACTOR = 1.1
"""As for AC: more than (set-point + 0.5 A) * 1.1 for 6 s."""

SUPPLY_STALE_S = 1.5
"""Three periods of a supply that reports twice a second. It switches itself off after 10 to 20 s without us."""
MONITOR_STALE_S = 4.0
"""Three periods of an insulation monitor that is asked once a second, and one."""


def test_voltage(vehicle_max_v: float, output_max_v: float) -> float:
    """What insulation is tested at, in V, for a vehicle's EVMaximumVoltageLimit."""
    if vehicle_max_v <= CABLE_CHECK_KNEE_V:
        return min(CABLE_CHECK_KNEE_V, vehicle_max_v + CABLE_CHECK_HEADROOM_V, output_max_v)
    return min(CABLE_CHECK_FACTOR * vehicle_max_v, output_max_v)


def emergency_voltage(negotiated_max_v: float) -> float:
    """From which voltage on power ends at once, in V."""
    for up_to_v, emergency_v in OVER_VOLTAGE_EMERGENCY_V:
        if negotiated_max_v <= up_to_v:
            return emergency_v
    return OVER_VOLTAGE_EMERGENCY_HIGHEST_V


def earth_limit(present_v: float, output_max_v: float) -> float:
    """Most that DC+ or DC- may have to earth, in V."""
    return TO_EARTH_FIXED_V if output_max_v <= CABLE_CHECK_KNEE_V else TO_EARTH_FACTOR * present_v
