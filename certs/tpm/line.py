"""A connection to the TPM with a thread of its own, because a command cannot be taken back.

The chip's answer is waited for in C, and nothing but the chip ends that wait. So the thread that asks is not the one
that needs to know: it is left with its connection when its time is over, and both end when the chip answers after all.
What was under way goes no further then: others have the chip.
"""

# tpm2_pytss takes plain integers where its hints ask for its own kinds of int, and has untyped constructors.
# mypy: disable-error-code="no-untyped-call, arg-type"

import logging
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

# tpm2-tss prints every error to stderr by itself; ours carry the reason and go through logging.
os.environ.setdefault("TSS2_LOG", "all+none")

from tpm2_pytss.constants import ESYS_TR, TPM2_SU
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.TSS2_Exception import TSS2_Exception

from certs.errors import KeyFault, KeyUnavailable
from certs.tpm.response import RC_INITIALIZE, WORTH_A_SECOND_TRY, fault_of

log = logging.getLogger(__name__)

T = TypeVar("T")

BUSY_PAUSE_S = 0.05
CLOSE_LIMIT_S = 1.0


@dataclass(slots=True)
class Health:
    """Counters for the status page; they only grow. A chip that hangs shows in `busy_since_s`."""

    operations: int = 0
    recovered: int = 0
    reopened: int = 0
    slowest_sign_s: float = 0.0
    busy_since_s: float | None = None
    """Monotonic; None while the TPM is idle."""
    last_fault: KeyFault | None = None
    faults: Counter[KeyFault] = field(default_factory=Counter)

    def count(self, fault: KeyFault) -> None:
        self.faults[fault] += 1
        self.last_fault = fault


class _Guarded:
    """An ESAPI that after its line was left only cleans up: what it still did would meet what others do meanwhile."""

    def __init__(self, esapi: ESAPI, is_left: Callable[[], bool]) -> None:
        self._esapi = esapi
        self._is_left = is_left

    def __getattr__(self, name: str) -> object:
        if self._is_left() and name not in ("flush_context", "close"):
            raise KeyUnavailable(KeyFault.SILENT, f"{name} comes too late")
        return getattr(self._esapi, name)


class Line:
    """Opened by its first operation. `owner_auth` is asked for at each opening."""

    def __init__(self, tcti: str, owner_auth: Callable[[], bytes], health: Health) -> None:
        self._tcti = tcti
        self._owner_auth = owner_auth
        self._health = health
        self._esapi: ESAPI | None = None
        self._is_left = False
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[ESAPI], Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tpm", daemon=True)
        self._thread.start()

    @property
    def is_open(self) -> bool:
        """Also one that was left, until the chip answers."""
        return self._thread.is_alive()

    def run(self, operation: Callable[[ESAPI], T], limit_s: float) -> T:
        """Raises KeyUnavailable; with SILENT this line is of no more use."""
        job: Future[T] = Future()
        self._jobs.put((job, operation))
        try:
            return job.result(limit_s)
        except TimeoutError:
            self._health.count(KeyFault.SILENT)
            raise KeyUnavailable(KeyFault.SILENT, f"{limit_s:g} s") from None

    def leave(self) -> None:
        """Nothing more is asked, also by what is under way; it closes itself once it can."""
        self._is_left = True
        self._jobs.put(None)

    def close(self) -> None:
        self.leave()
        self._thread.join(CLOSE_LIMIT_S)

    # --- on the line's own thread ---

    def _work(self) -> None:
        while (asked := self._jobs.get()) is not None:
            job, operation = asked
            try:
                job.set_result(self._persevere(operation))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the asker's
                job.set_exception(error)
            del job, operation, asked
        self._hang_up()

    def _persevere(self, operation: Callable[[ESAPI], T]) -> T:
        try:
            return self._attempt(operation)
        except KeyUnavailable as error:
            if error.reason not in WORTH_A_SECOND_TRY:
                raise
            log.warning("TPM: %s; trying once more", error)
            reason = error.reason
        self._recover(reason)
        result = self._attempt(operation)
        self._health.recovered += 1
        return result

    def _attempt(self, operation: Callable[[ESAPI], T]) -> T:
        try:
            return operation(self._open())
        except TSS2_Exception as error:
            fault = fault_of(error.rc)
            self._health.count(fault)
            raise KeyUnavailable(fault, f"0x{error.rc:x} {error}") from error
        except KeyUnavailable as error:
            self._health.count(error.reason)
            raise

    def _open(self) -> ESAPI:
        if self._esapi is None:
            esapi = ESAPI(self._tcti)
            esapi.tr_set_auth(ESYS_TR.OWNER, self._owner_auth())
            self._esapi = cast(ESAPI, _Guarded(esapi, lambda: self._is_left))
        return self._esapi

    def _recover(self, reason: KeyFault) -> None:
        """A fresh connection to a TPM that is started up. What still fails shows in the second attempt."""
        if reason is KeyFault.BUSY:
            time.sleep(BUSY_PAUSE_S)
            return
        self._hang_up()
        self._health.reopened += 1
        try:
            self._open().startup(TPM2_SU.CLEAR)
        except TSS2_Exception as error:
            # 0x100 is the answer of a TPM that needs no Startup; what else is wrong, the operation meets again.
            if error.rc != RC_INITIALIZE:
                log.warning("TPM: not reopened: 0x%x %s", error.rc, error)
                self._hang_up()

    def _hang_up(self) -> None:
        if self._esapi is not None:
            self._esapi.close()
            self._esapi = None
