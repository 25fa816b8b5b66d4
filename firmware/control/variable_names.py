"""OCPP variables by one name each, as a technician writes them. Pure.

    OCPPCommCtrlr.HeartbeatInterval
    OCPPCommCtrlr.MessageTimeout[Default]       the variable's instance
    Connector@1/1.Available                     the EVSE, and its connector
    LocalAuthListCtrlr[a].Enabled               the component's instance

Case does not matter, as OCPP says.
"""

import re

from ocpp_client.device_model import Key, Variable

_NAME = re.compile(
    r"(?P<component>[\w-]+)(?:\[(?P<its>[^\]\[]*)\])?(?:@(?P<evse>\d{1,5})(?:/(?P<connector>\d{1,5}))?)?"
    r"\.(?P<variable>[\w-]+)(?:\[(?P<instance>[^\]\[]*)\])?"
)


def key_of_name(name: str) -> Key | None:
    """None for what is no such name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    instance = f"#{found['its'].lower()}" if found["its"] else ""
    evse, connector = found["evse"], found["connector"]
    return (
        found["component"].lower() + instance,
        int(evse) if evse else None,
        int(connector) if connector else None,
        found["variable"].lower(),
        (found["instance"] or "").lower(),
    )


def name_of(variable: Variable) -> str:
    component, _, its = variable.component.partition("#")
    where = f"@{variable.evse_id}" if variable.evse_id is not None else ""
    where += f"/{variable.connector_id}" if variable.connector_id is not None else ""
    instance = f"[{variable.instance}]" if variable.instance else ""
    return f"{component}{f'[{its}]' if its else ''}{where}.{variable.name}{instance}"
