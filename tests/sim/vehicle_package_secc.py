"""The iso15118 package's own SECC as a program: a station for the vehicle's tests that is not ours.

`python -m tests.sim.vehicle_package_secc INTERFACE PKI AUTH [options]`
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from iso15118.secc import SECCHandler
from iso15118.secc.controller.interface import AuthorizationResponse, ServiceStatus
from iso15118.secc.controller.simulator import SimEVSEController
from iso15118.secc.secc_settings import Config
from iso15118.shared.iexi_codec import IEXICodec
from iso15118.shared.messages.datatypes import PVEVSEMaxCurrent
from iso15118.shared.messages.enums import AuthEnum, AuthorizationStatus, Protocol
from iso15118.shared.settings import SettingKey, load_shared_settings, shared_settings

from sim.vehicle.exi_codec import ExiCodec


class Station(SimEVSEController):
    """Says in each ChargingStatusRes the next of `options.limits`, then the last for ever; may be slow to authorise."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self._limits_a = [int(limit) for limit in options.limits.split(",")]
        self._authorize_after_s = options.authorize_after_s
        self._first_asked_at_s: float | None = None

    async def get_evse_max_current_limit(self) -> PVEVSEMaxCurrent:
        limit_a = self._limits_a.pop(0) if len(self._limits_a) > 1 else self._limits_a[0]
        return PVEVSEMaxCurrent.parse_obj({"Multiplier": 0, "Value": limit_a, "Unit": "A"})

    async def is_authorized(self, *identity: Any, **more: Any) -> AuthorizationResponse:
        self._first_asked_at_s = self._first_asked_at_s or time.monotonic()
        if time.monotonic() - self._first_asked_at_s < self._authorize_after_s:
            return AuthorizationResponse(AuthorizationStatus.ONGOING, None)
        response: AuthorizationResponse = await super().is_authorized(*identity, **more)
        return response


class Tampering(IEXICodec):
    """Says in ChargingStatusRes what the package never does: asks for receipts or for the end, or hangs up."""

    def __init__(self, codec: IEXICodec, options: argparse.Namespace) -> None:
        self._codec = codec
        self._options = options
        self._count = 0

    def encode(self, message: str, namespace: str) -> bytes:
        document = json.loads(message)
        response = document.get("V2G_Message", {}).get("Body", {}).get("ChargingStatusRes")
        if response is not None:
            self._count += 1
            self._tamper(response)
        return self._codec.encode(json.dumps(document), namespace)

    def _tamper(self, response: dict[str, Any]) -> None:
        if self._count <= self._options.receipts:
            response["ReceiptRequired"] = True
            response["MeterInfo"] = {"MeterID": "M1", "MeterReading": 1000 + self._count}
        if self._count >= self._options.stop_after:
            response["AC_EVSEStatus"]["EVSENotification"] = "StopCharging"
        if self._count >= self._options.stall_after:
            time.sleep(60)
        if self._count >= self._options.hang_up_after:
            os._exit(1)

    def decode(self, stream: bytes, namespace: str) -> str:
        return self._codec.decode(stream, namespace)

    def get_version(self) -> str:
        return str(self._codec.get_version())


async def secc(options: argparse.Namespace, station: Station) -> None:
    """Serves for ever."""
    load_shared_settings()
    shared_settings[SettingKey.PKI_PATH] = str(options.pki)
    shared_settings[SettingKey.MESSAGE_LOG_JSON] = False
    config = Config(
        iface=options.interface,
        enforce_tls=not options.tcp,
        supported_protocols=[Protocol.ISO_15118_2],
        supported_auth_options=[AuthEnum[name] for name in options.auth.split(",")],
        allow_cert_install_service=False,
    )
    await station.set_status(ServiceStatus.STARTING)
    await SECCHandler(Tampering(ExiCodec(), options), station, config).start(options.interface)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser()
    options.add_argument("interface")
    options.add_argument("pki", type=Path)
    options.add_argument("auth")
    options.add_argument("--tcp", action="store_true")
    options.add_argument("--limits", default="16", help="EVSEMaxCurrent of each ChargingStatusRes")
    options.add_argument("--authorize-after-s", type=float, default=0.0)
    options.add_argument("--receipts", type=int, default=0, help="asked for in this many ChargingStatusRes")
    options.add_argument("--stop-after", type=int, default=sys.maxsize, metavar="N", help="from the Nth one on")
    options.add_argument("--hang-up-after", type=int, default=sys.maxsize, metavar="N")
    options.add_argument("--stall-after", type=int, default=sys.maxsize, metavar="N")
    return options


def main() -> None:
    options = parser().parse_args()
    asyncio.run(secc(options, Station(options)))


if __name__ == "__main__":
    main()
