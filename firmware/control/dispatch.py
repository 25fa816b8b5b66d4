"""From a line to its answer: parsed, allowed or refused, checked, carried out, audited."""

import logging
from collections import Counter
from collections.abc import Mapping
from weakref import WeakSet

from firmware.control import rpc
from firmware.control.audit import Audit
from firmware.control.method import Call, Caller, Method, Station
from firmware.control.methods import FAILURES
from firmware.control.params import checked
from firmware.control.roles import Role
from firmware.control.rpc import Code, Refused, Request, RpcError
from ocpp_client.ports import SecurityEvent

log = logging.getLogger(__name__)


class Dispatcher:
    """One for all connections. `refusals` counts by error code."""

    def __init__(self, station: Station, methods: Mapping[str, Method], audit: Audit) -> None:
        self.refusals: Counter[Code] = Counter()
        self._station = station
        self._methods = methods
        self._audit = audit
        self._logged_in: WeakSet[Caller] = WeakSet()

    def _tell(self, event: SecurityEvent, method: str, caller: Caller) -> None:
        """The operator hears of a technician's first call on a connection, and of refusals as the audit log does."""
        self._station.csms.security_event(event, f"uid {caller.peer.uid}, {caller.role}: {method}")

    async def answer(self, line: bytes | None, caller: Caller) -> bytes | None:
        """The line to send back; None after a notification."""
        request = rpc.parse(line)
        if isinstance(request, Refused):
            self.refusals[request.error.code] += 1
            return rpc.failure(request.id, request.error)
        try:
            answer = rpc.result(request.id, await self._call(request, caller))
        except RpcError as error:
            self.refusals[error.code] += 1
            answer = rpc.failure(request.id, error)
        return None if request.is_notification else answer

    async def _call(self, request: Request, caller: Caller) -> object:
        method = self._methods.get(request.method)
        if method is None:
            raise RpcError(Code.METHOD_NOT_FOUND, f"there is no method {request.method[:60]!r}")
        if caller.role < method.role:
            if self._audit.refused(caller.peer, caller.role, request.method, method.role):
                self._tell(SecurityEvent.MAINTENANCE_LOGIN_FAILED, request.method, caller)
            message = f"{request.method} needs role {method.role}, you have {caller.role}"
            raise RpcError(Code.ROLE_MISSING, message, {"needed": str(method.role), "role": str(caller.role)})
        if method.role > Role.OBSERVER and caller not in self._logged_in:
            self._logged_in.add(caller)
            self._tell(SecurityEvent.MAINTENANCE_LOGIN_ACCEPTED, request.method, caller)
        try:
            result = await self._carry_out(method, request, caller)
        except RpcError as error:
            self._note(method, request, caller, f"error {int(error.code)}: {error.message}")
            raise
        self._note(method, request, caller, "ok")
        return result

    async def _carry_out(self, method: Method, request: Request, caller: Caller) -> object:
        arguments = checked(method.params, request.params)
        try:
            return await method.handler(Call(self._station, caller), **arguments)
        except tuple(FAILURES) as error:
            code = next(code for kind, code in FAILURES.items() if isinstance(error, kind))
            raise RpcError(code, str(error)) from error

    def _note(self, method: Method, request: Request, caller: Caller, outcome: str) -> None:
        if method.role > Role.OBSERVER and method.is_audited:
            self._audit.called(caller.peer, caller.role, request.method, dict(method.audited(request.params)), outcome)
