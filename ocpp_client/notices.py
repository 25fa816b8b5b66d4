"""Messages the station sends by itself beside transactions: NotifyEvent and SecurityEventNotification. Pure."""

from collections.abc import Mapping
from datetime import datetime

from hal.quantities import EvseId
from ocpp_client.wire import Payload, format_time

_LENGTHS = {"techCode": 50, "techInfo": 500, "transactionId": 36}


def notify_event(
    event_id: int,
    at: datetime,
    component: str,
    variable: str,
    value: str,
    *,
    evse_id: EvseId | None,
    connector_id: int | None,
    texts: Mapping[str, str],
    cleared: bool | None,
    monitor_id: int | None = None,
) -> Payload:
    """A NotifyEventRequest with one event; empty `texts` are left out, `cleared` None is no alarm but a value.

    `monitor_id` is the hard-wired monitor's, where one sees the variable.
    """
    data: Payload = {
        "eventId": event_id,
        "timestamp": format_time(at),
        "trigger": "Delta" if cleared is None else "Alerting",
        "actualValue": value[:2500],
        "eventNotificationType": "HardWiredNotification",
        "component": _component(component, evse_id, connector_id),
        "variable": {"name": variable},
    }
    if monitor_id is not None:
        data |= {"eventNotificationType": "HardWiredMonitor", "variableMonitoringId": monitor_id}
    data |= {name: text[: _LENGTHS[name]] for name, text in texts.items() if text}
    if cleared is not None:
        data["cleared"] = cleared
    return {"generatedAt": data["timestamp"], "seqNo": 0, "tbc": False, "eventData": [data]}


def security_event(kind: str, at: datetime, tech_info: str) -> Payload:
    """A SecurityEventNotificationRequest."""
    payload: Payload = {"type": kind[:50], "timestamp": format_time(at)}
    if tech_info:
        payload["techInfo"] = tech_info[:255]
    return payload


def _component(name: str, evse_id: EvseId | None, connector_id: int | None) -> Payload:
    component: Payload = {"name": name}
    if evse_id is not None:
        component["evse"] = {"id": int(evse_id)}
        if connector_id is not None:
            component["evse"]["connectorId"] = connector_id
    return component
