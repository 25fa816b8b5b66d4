"""A vehicle of ISO 15118-2 that plans, at the SECC's own connection over TCP.

SLAC and SDP are left out: the PLC link says it is ready, and the vehicle knows the port.
"""

import asyncio
import os
import time
from datetime import UTC, datetime
from typing import Any

from firmware.evse import Evse
from hal import ports as hal
from secc.connection import Connection
from secc.exi import Namespace, decode
from secc.ports import EndReason
from secc.v2g.protocols import DEFAULT
from secc.v2g.session import Surroundings
from secc.v2gtp import Frame, PayloadType, V2gtpReader
from tests.secc.support import (
    CHARGE_PARAMETERS,
    EVCC_ID,
    ISO_2_WISH,
    Response,
    StubCertificates,
    app_protocol_req,
    message,
    power,
    selection,
)

EV_MAC = bytes.fromhex("020000000001")
ANSWER_S = 5.0


class SilentPlc:
    """A modem that does as it is told and says nothing."""

    def vehicle_connected(self, connected: bool) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def terminate(self) -> None: ...

    def pilot_toggled(self) -> None: ...


class Secc:
    """The SECC of one EVSE on the test's own loop: `firmware.ports.SeccControl` over real connections."""

    def __init__(self, evse: Evse) -> None:
        self._evse = evse
        self._connections: list[Connection] = []
        self._server: asyncio.Server | None = None
        self.opened = False

    async def start(self) -> int:
        self._server = await asyncio.get_running_loop().create_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    def _accept(self) -> Connection:
        connection = Connection(
            surroundings=self._around,
            report=self._evse.report,
            paused=None,
            offered=DEFAULT,
            accepted_s=time.monotonic(),
            on_end=lambda _: None,
        )
        self._connections.append(connection)
        return connection

    def _around(self) -> Surroundings:
        return Surroundings(self._evse.view, StubCertificates(), datetime.now(UTC), os.urandom(24))

    def open(self, ev_mac: bytes) -> None:
        self.opened = True

    def close(self) -> None:
        self.opened = False
        for connection in self._connections:
            connection.drop(EndReason.LINK_DOWN, "closed")

    def view_changed(self) -> None:
        for connection in self._connections:
            connection.station_changed()

    async def stop(self) -> None:
        self.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


class Planner:
    """The vehicle; each step ends where the next begins."""

    def __init__(self, site: Any, evse_id: int = 1) -> None:
        self._site = site
        self._board = site.boards[evse_id]
        self._evse = site.evses[evse_id]
        self._secc: Secc = self._evse.secc
        self._responses: asyncio.Queue[Frame] = asyncio.Queue()
        self.session_id = "00" * 8

    async def arrive(self) -> None:
        """Plugged in, the link is ready, the session set up, external payment chosen."""
        port = await self._secc.start()
        for fact in (hal.ModemReady(0.0),):
            self._evse.report(fact)
        self._board.plug()
        self._evse.report(hal.LinkReady(EV_MAC, time.monotonic()))
        await self._site.until(lambda: self._secc.opened)
        reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        self._reading = asyncio.create_task(self._read(reader))
        self._send(app_protocol_req(ISO_2_WISH))
        assert decode(Namespace.SAP, (await self._next()).payload)["supportedAppProtocolRes"]
        self.session_id = (await self.ask("SessionSetupReq", {"EVCCID": EVCC_ID})).session_id
        await self.ask("ServiceDiscoveryReq")
        await self.ask("PaymentServiceSelectionReq", selection("ExternalPayment"))

    async def authorize(self) -> str:
        """The driver swipes a card; returns the transaction's id."""
        self._board.swipe()
        while (await self.ask("AuthorizationReq")).elements["EVSEProcessing"] != "Finished":
            await asyncio.sleep(0.02)
        started = await self._site.event("Started")
        transaction_id: str = started["transactionInfo"]["transactionId"]
        return transaction_id

    async def parameters(self, **changes: Any) -> Response:
        """ChargeParameterDiscovery until the station has a schedule."""
        ac = CHARGE_PARAMETERS["AC_EVChargeParameter"] | changes
        while True:
            response = await self.ask("ChargeParameterDiscoveryReq", CHARGE_PARAMETERS | {"AC_EVChargeParameter": ac})
            if response.elements["EVSEProcessing"] == "Finished":
                return response

    async def start(self, tuple_id: int = 1, *max_powers: dict[str, Any]) -> Response:
        """PowerDelivery with the vehicle's plan, state C, and the contactor."""
        if self._board.contactor is hal.Contactor.CLOSED:
            return await self.ask("PowerDeliveryReq", power("Start", *max_powers, tuple_id=tuple_id))
        asking = asyncio.create_task(self.ask("PowerDeliveryReq", power("Start", *max_powers, tuple_id=tuple_id)))
        await self._site.until(lambda: self._board.permitted or asking.done())
        if not asking.done():
            self._board.draw()
        return await asking

    async def status(self) -> Response:
        """One turn of the charge loop."""
        return await self.ask("ChargingStatusReq")

    async def told_to_renegotiate(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            while (await self.status()).elements["AC_EVSEStatus"]["EVSENotification"] != "ReNegotiation":
                await asyncio.sleep(0.01)

    async def renegotiate(self, **changes: Any) -> Response:
        """Back to ChargeParameterDiscovery, of whoever's wish."""
        response = await self.ask("PowerDeliveryReq", power("Renegotiate"))
        assert response.code == "OK"
        return await self.parameters(**changes)

    async def leave(self) -> None:
        await self.ask("PowerDeliveryReq", power("Stop"))
        self._board.stop_drawing()
        await self.ask("SessionStopReq", {"ChargingSession": "Terminate"})
        await self.drive_off()

    async def drive_off(self) -> None:
        self._writer.close()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._board.unplug()
        await self._secc.stop()

    async def ask(self, name: str, elements: dict[str, Any] | None = None) -> Response:
        self._send(message(name, elements or {}, self.session_id))
        return Response.of((await self._next()).payload)

    def _send(self, payload: bytes) -> None:
        self._writer.write(Frame(PayloadType.EXI, payload).to_bytes())

    async def _next(self) -> Frame:
        async with asyncio.timeout(ANSWER_S):
            return await self._responses.get()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        frames = V2gtpReader()
        while data := await reader.read(65_536):
            for frame in frames.feed(data):
                self._responses.put_nowait(frame)


def offered(response: Response) -> list[tuple[int, list[tuple[int, float]]]]:
    """SAScheduleList as (tuple id, [(start in s, W)])."""
    return [
        (
            schedule["SAScheduleTupleID"],
            [
                (
                    entry["RelativeTimeInterval"]["start"],
                    entry["PMax"]["Value"] * 10.0 ** entry["PMax"]["Multiplier"],
                )
                for entry in schedule["PMaxSchedule"]["PMaxScheduleEntry"]
            ],
        )
        for schedule in response.elements["SAScheduleList"]["SAScheduleTuple"]
    ]
