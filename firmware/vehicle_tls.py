"""What one EVSE presents to vehicles: a TLS context on the EVSE's own loop, changed only there.

A handshake picks its certificate and signs in one step on that loop. So once `present` has returned, no handshake uses
the key it replaced, and that key may be destroyed.
"""

import ssl
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certs.tls.identity import Identity
from certs.tls.vehicle import VehicleContext
from secc.ports import TlsUnavailable

PRESENT_TIMEOUT_S = 10.0
"""An EVSE's loop waits for the TPM at most; beyond, it hangs."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The SECC's identities for ISO 15118-2 and -20, and the roots that vehicles of -20 lead to."""

    secc: Identity | None = None
    secc_20: Identity | None = None
    vehicle_roots_der: tuple[bytes, ...] = ()

    @property
    def contents(self) -> tuple[object, ...]:
        """What a vehicle could tell apart."""
        return (_contents(self.secc), _contents(self.secc_20), self.vehicle_roots_der)


def _contents(identity: Identity | None) -> tuple[object, ...] | None:
    if identity is None:
        return None
    return (identity.key.key_id, identity.chain_der, identity.staples, identity.root_der)


class VehicleTls:
    """Called by the SECC for its context, on the loop that `submit` leads to."""

    def __init__(self, submit: Callable[[Coroutine[Any, Any, None]], "Future[None]"]) -> None:
        self._submit = submit
        self._context: VehicleContext | None = None
        self._shown = Shown()

    def __call__(self) -> ssl.SSLContext:
        """Raises TlsUnavailable."""
        if self._context is None:
            raise TlsUnavailable("no SECC certificate whose key is in reach")
        return self._context

    def present(self, shown: Shown) -> None:
        """`show` on the EVSE's loop, from another thread. Raises CertsError, TimeoutError."""

        async def show() -> None:
            self.show(shown)

        self._submit(show()).result(PRESENT_TIMEOUT_S)

    def log_keys(self, file: Path, duration_s: float) -> None:
        """Let a technician read this EVSE's TLS for a while; only the daemon's user may read `file`. Blocks.

        Raises TlsUnavailable, OSError, TimeoutError.
        """

        context = self._context
        if context is None:
            raise TlsUnavailable("no SECC certificate whose key is in reach")
        file.touch(mode=0o600)

        async def log() -> None:
            context.log_keys(file, duration_s)

        self._submit(log()).result(PRESENT_TIMEOUT_S)

    def show(self, shown: Shown) -> None:
        """From the next handshake on; other roots, or the first of -20, from the next vehicle on. Raises CertsError."""
        before, self._shown = self._shown, shown
        if shown.secc is None:
            self._context = None
            return
        identities_20 = [shown.secc_20] if shown.secc_20 is not None else []
        same = (before.secc_20 is None, before.vehicle_roots_der) == (shown.secc_20 is None, shown.vehicle_roots_der)
        if self._context is not None and same:
            self._context.present([shown.secc], identities_20)
        else:
            # A -2 vehicle that offers TLS 1.3 shows no certificate; the SECC looks for one where -20 is spoken.
            self._context = VehicleContext(
                [shown.secc], identities_20, shown.vehicle_roots_der, vehicle_certificate_required=False
            )
