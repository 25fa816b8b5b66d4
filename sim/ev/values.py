"""Numbers as the protocols write them."""

from sim.ev.script import Elements


def physical(value: float, unit: str) -> dict[str, int | str]:
    """PhysicalValueType, in tenths."""
    scaled = round(value * 10)
    return (
        {"Multiplier": -1, "Unit": unit, "Value": scaled}
        if abs(scaled) < 32768
        else {"Multiplier": 1, "Unit": unit, "Value": round(value / 10)}
    )


def of_physical(value: Elements) -> float:
    return float(value["Value"]) * 10.0 ** int(value["Multiplier"])


def rational(value: float) -> dict[str, int]:
    """RationalNumberType, in tenths."""
    scaled = round(value * 10)
    return {"Exponent": -1, "Value": scaled} if abs(scaled) < 32768 else {"Exponent": 1, "Value": round(value / 10)}


def of_rational(value: Elements) -> float:
    return float(value["Value"]) * 10.0 ** int(value["Exponent"])
