"""The firmware slots, from the control socket's loop."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from certs.errors import CertsError
from certs.tls.loop import LoopThread
from firmware.control.rpc import Code, RpcError
from firmware.update.slots import RaucSlots
from ocpp_client.ports import FirmwareError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SlotControl:
    """The slots, and the loop they live on."""

    slots: RaucSlots
    loop: LoopThread

    async def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises RpcError for what RAUC or the TPM refuse."""
        try:
            return await asyncio.wrap_future(self.loop.submit(work))
        except (FirmwareError, CertsError) as error:
            raise RpcError(Code.UNAVAILABLE, str(error)) from error
