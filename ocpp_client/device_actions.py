"""Variables and reports: B05-B08 (SetVariables, GetVariables, GetBaseReport, GetReport)."""

from collections.abc import Callable, Iterable
from datetime import datetime

from ocpp_client.actions import ActionRefused, Answer, Handlers, SendLater, accepted, status
from ocpp_client.device_model import DeviceModel, Mutability, Variable
from ocpp_client.variables import ITEMS_PER_MESSAGE
from ocpp_client.wire import ErrorCode, Payload, format_time

REPORT_ITEMS = 40
"""ReportDataType entries in one NotifyReport."""
_SUMMARY = frozenset({"availabilitystate", "available", "problem", "activenetworkprofile"})


class DeviceActions:
    """`changed` is called after the CSMS changed a variable: it must be stored."""

    def __init__(
        self,
        model: DeviceModel,
        now_utc: Callable[[], datetime],
        changed: Callable[[], None],
        send_later: SendLater,
    ) -> None:
        self._model = model
        self._now_utc = now_utc
        self._changed = changed
        self._send_later = send_later

    def handlers(self) -> Handlers:
        return {
            "GetVariables": self.get_variables,
            "SetVariables": self.set_variables,
            "GetBaseReport": self.get_base_report,
            "GetReport": self.get_report,
        }

    async def get_variables(self, request: Payload, _at_s: float) -> Answer:
        wanted = request["getVariableData"]
        _check_count(wanted)
        return Answer({"getVariableResult": [self._model.get(item) for item in wanted]})

    async def set_variables(self, request: Payload, _at_s: float) -> Answer:
        wanted = request["setVariableData"]
        _check_count(wanted)
        results = [self._model.set(item) for item in wanted]
        if any(result["attributeStatus"] in ("Accepted", "RebootRequired") for result in results):
            self._changed()
        return Answer({"setVariableResult": results}, self._model.tell_changes)

    async def get_base_report(self, request: Payload, _at_s: float) -> Answer:
        wanted = _BASE_REPORTS[request["reportBase"]]
        return self._answer_report(request["requestId"], list(self._model.report(wanted)))

    async def get_report(self, request: Payload, _at_s: float) -> Answer:
        criteria = set(request.get("componentCriteria", ()))
        filters = [self._model.matches(item) for item in request.get("componentVariable", ())]
        troubled = self._model.troubled() if criteria == {"Problem"} else None

        def wanted(variable: Variable) -> bool:
            if troubled is not None and (variable.component, variable.evse_id) not in troubled:
                return False
            return not filters or any(fits(variable) for fits in filters)

        return self._answer_report(request["requestId"], list(self._model.report(wanted)))

    def _answer_report(self, request_id: int, items: list[Payload]) -> Answer:
        if not items:
            return status("EmptyResultSet")
        return accepted(lambda: self._notify(request_id, items))

    def _notify(self, request_id: int, items: list[Payload]) -> None:
        generated_at = format_time(self._now_utc())
        for seq_no, start in enumerate(range(0, len(items), REPORT_ITEMS)):
            report: Payload = {
                "requestId": request_id,
                "generatedAt": generated_at,
                "seqNo": seq_no,
                "tbc": start + REPORT_ITEMS < len(items),
                "reportData": items[start : start + REPORT_ITEMS],
            }
            self._send_later("NotifyReport", report)


def _settable(variable: Variable) -> bool:
    return variable.mutability is not Mutability.READ_ONLY


_BASE_REPORTS: dict[str, Callable[[Variable], bool]] = {
    "ConfigurationInventory": _settable,
    "FullInventory": lambda _variable: True,
    "SummaryInventory": lambda variable: variable.name.lower() in _SUMMARY,
}


def _check_count(items: Iterable[object]) -> None:
    """B05.FR.11, B06.FR.16: more than ItemsPerMessage is an OccurrenceConstraintViolation."""
    if len(list(items)) > ITEMS_PER_MESSAGE:
        raise ActionRefused(ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"at most {ITEMS_PER_MESSAGE} items")
