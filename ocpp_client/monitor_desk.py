"""Monitoring in the running station: the CSMS's five messages about monitors, and their events (N02-N08)."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from hal.quantities import EvseId, MeterReading
from ocpp_client.actions import ActionRefused, Answer, Handlers, SendLater, accepted, status
from ocpp_client.block_variables import MONITORING_ITEMS
from ocpp_client.device_model import DeviceModel, Key
from ocpp_client.monitors import HIGHEST_SEVERITY, LOWEST_SEVERITY, Event, Monitors
from ocpp_client.transactions import Transactions
from ocpp_client.wire import ErrorCode, Payload, format_time

MONITORS_PER_REPORT = 20
POLL_S = 1.0
"""How often computed variables are looked at while one of them is monitored."""
LONGEST_WAIT_S = 3600.0


class MonitorDesk:
    """`tell` queues a message durably, `send` sends one that may be lost, `online` says whether the CSMS is there."""

    def __init__(
        self,
        model: DeviceModel,
        monitors: Monitors,
        transactions: Transactions,
        now_utc: Callable[[], datetime],
        send_later: SendLater,
        tell: Callable[[str, Payload], None],
        online: Callable[[], bool],
        put: Callable[[str, str | None], None],
        event_id: Callable[[], int],
    ) -> None:
        self._model = model
        self._monitors = monitors
        self._transactions = transactions
        self._now_utc = now_utc
        self._send_later = send_later
        self._tell = tell
        self._online = online
        self._put = put
        self._event_id = event_id
        self._timer: asyncio.TimerHandle | None = None

    def handlers(self) -> Handlers:
        return {
            "SetMonitoringBase": self.set_monitoring_base,
            "SetMonitoringLevel": self.set_monitoring_level,
            "SetVariableMonitoring": self.set_variable_monitoring,
            "ClearVariableMonitoring": self.clear_variable_monitoring,
            "GetMonitoringReport": self.get_monitoring_report,
        }

    def start(self) -> None:
        self._model.watcher = self._variable_changed
        self._tell_settings()
        self._say(self._monitors.begin())
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # --- What the CSMS asks ---

    async def set_monitoring_base(self, request: Payload, _at_s: float) -> Answer:
        self._monitors.set_base(request["monitoringBase"])
        self._tell_settings()
        self._changed()
        return accepted()

    async def set_monitoring_level(self, request: Payload, _at_s: float) -> Answer:
        if not HIGHEST_SEVERITY <= request["severity"] <= LOWEST_SEVERITY:
            return status("Rejected", "InvalidValue", "a severity is from 0 to 9")
        self._monitors.level = request["severity"]
        self._tell_settings()
        self._changed()
        return accepted()

    async def set_variable_monitoring(self, request: Payload, _at_s: float) -> Answer:
        items = request["setMonitoringData"]
        _check_count(items)
        results, events = [], []
        for item in items:
            result, said = self._monitors.set(item, self._now_utc())
            results.append(result)
            events += said
        self._changed()
        return Answer({"setMonitoringResult": results}, lambda: self._say(events))

    async def clear_variable_monitoring(self, request: Payload, _at_s: float) -> Answer:
        _check_count(request["id"])
        results = [{"id": number, "status": self._monitors.clear(number)} for number in request["id"]]
        self._changed()
        return Answer({"clearMonitoringResult": results})

    async def get_monitoring_report(self, request: Payload, _at_s: float) -> Answer:
        found = self._monitors.find(request.get("monitoringCriteria", ()), request.get("componentVariable", ()))
        if not found:
            return status("EmptyResultSet")
        return accepted(lambda: self._report(request["requestId"], found))

    def _report(self, request_id: int, found: Sequence[Payload]) -> None:
        generated_at = format_time(self._now_utc())
        for seq_no, start in enumerate(range(0, len(found), MONITORS_PER_REPORT)):
            report: Payload = {
                "requestId": request_id,
                "generatedAt": generated_at,
                "seqNo": seq_no,
                "tbc": start + MONITORS_PER_REPORT < len(found),
                "monitor": found[start : start + MONITORS_PER_REPORT],
            }
            self._send_later("NotifyMonitoringReport", report)

    def _tell_settings(self) -> None:
        self._model.assign("MonitoringCtrlr", "ActiveMonitoringBase", self._monitors.base)
        self._model.assign("MonitoringCtrlr", "ActiveMonitoringLevel", str(self._monitors.level))

    def _changed(self) -> None:
        self._store()
        self._arm()

    def _store(self) -> None:
        self._put("monitors", self._monitors.dump())

    # --- What happens in the station ---

    def meter_sampled(self, evse: EvseId, reading: MeterReading) -> None:
        self._model.assign("EVSE", "Power", f"{reading.power_import_w:.0f}", int(evse))
        for number, (current_a, voltage_v) in enumerate(zip(reading.current_a, reading.voltage_v, strict=False), 1):
            self._model.assign("EVSE", "ACCurrent", f"{current_a:.1f}", int(evse), instance=f"L{number}")
            self._model.assign("EVSE", "ACVoltage", f"{voltage_v:.1f}", int(evse), instance=f"L{number}")

    def _variable_changed(self, key: Key, value: str) -> None:
        self._say(self._monitors.changed(key, value))

    def _tick(self) -> None:
        self._say([*self._monitors.tick(self._now_utc()), *self._monitors.poll()])
        self._arm()

    def _arm(self) -> None:
        self.stop()
        waits = [POLL_S] if self._monitors.polls else []
        if (at := self._monitors.next_due()) is not None:
            waits.append(min(max((at - self._now_utc()).total_seconds(), 0.0), LONGEST_WAIT_S))
        if waits:
            self._timer = asyncio.get_running_loop().call_later(min(waits), self._tick)

    # --- Events ---

    def _say(self, events: Iterable[Event]) -> None:
        """N07.FR.18, N08: what the CSMS wants to hear; while it is away only what is severe enough is kept."""
        told = list(events)
        if any(event.cleared is not None for event in told):
            self._store()
        if not self._model.flag("MonitoringCtrlr", "Enabled"):
            return
        kept = LOWEST_SEVERITY if self._online() else self._model.number("MonitoringCtrlr", "OfflineQueuingSeverity")
        heard = [event for event in told if self._monitors.heard(event) and event.monitor.severity <= kept]
        if heard:
            now = format_time(self._now_utc())
            data = [self._data(event, now) for event in heard]
            self._tell("NotifyEvent", {"generatedAt": now, "seqNo": 0, "tbc": False, "eventData": data})

    def _data(self, event: Event, now: str) -> Payload:
        monitor = event.monitor
        data: Payload = {
            "eventId": self._event_id(),
            "timestamp": now,
            "trigger": event.trigger,
            "actualValue": event.value[:2500],
            "eventNotificationType": "CustomMonitor",
            "variableMonitoringId": monitor.id,
            "component": monitor.component,
            "variable": monitor.variable,
        }
        if event.cleared is not None:
            data["cleared"] = event.cleared
        state = self._transactions.on(EvseId(monitor.key[1])) if monitor.transaction and monitor.key[1] else None
        return data if state is None else data | {"transactionId": state.transaction_id}


def _check_count(items: Sequence[object]) -> None:
    """N04.FR.14: more than ItemsPerMessage is an OccurrenceConstraintViolation."""
    if len(items) > MONITORING_ITEMS:
        raise ActionRefused(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"at most {MONITORING_ITEMS} items")
