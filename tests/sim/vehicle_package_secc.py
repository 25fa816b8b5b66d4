"""The iso15118 package's own SECC as a program: a station for the vehicle's tests that is not ours.

`python vehicle_package_secc.py INTERFACE PKI AUTH [--tcp] [--receipts N] [--limits A,B,...] [--stop-after N]`
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from iso15118.secc import SECCHandler
from iso15118.secc.controller.interface import ServiceStatus
from iso15118.secc.controller.simulator import SimEVSEController
from iso15118.secc.secc_settings import Config
from iso15118.shared.iexi_codec import IEXICodec
from iso15118.shared.messages.datatypes import PVEVSEMaxCurrent
from iso15118.shared.messages.enums import AuthEnum, Protocol
from iso15118.shared.settings import SettingKey, load_shared_settings, shared_settings


class Station(SimEVSEController):
    """Says in each ChargingStatusRes the next of `limits_a`, then the last for ever."""

    def __init__(self, limits_a: list[int]) -> None:
        super().__init__()
        self._limits_a = limits_a

    async def get_evse_max_current_limit(self) -> PVEVSEMaxCurrent:
        limit_a = self._limits_a.pop(0) if len(self._limits_a) > 1 else self._limits_a[0]
        return PVEVSEMaxCurrent(multiplier=0, value=limit_a, unit="A")


class Receipts(IEXICodec):
    """Changes the first ChargingStatusRes as the package never does: it asks for receipts, or for the end."""

    def __init__(self, codec: IEXICodec, receipts: int, stop_after: int | None) -> None:
        self._codec = codec
        self._receipts = receipts
        self._stop_after = stop_after
        self._count = 0

    def encode(self, message: str, namespace: str) -> bytes:
        document = json.loads(message)
        response = document.get("V2G_Message", {}).get("Body", {}).get("ChargingStatusRes")
        if response is not None:
            self._count += 1
            if self._count <= self._receipts:
                response["ReceiptRequired"] = True
                response["MeterInfo"] = {"MeterID": "M1", "MeterReading": 1000 + self._count}
            if self._stop_after is not None and self._count >= self._stop_after:
                response["AC_EVSEStatus"]["EVSENotification"] = "StopCharging"
        return self._codec.encode(json.dumps(document), namespace)

    def decode(self, stream: bytes, namespace: str) -> str:
        return self._codec.decode(stream, namespace)

    def get_version(self) -> str:
        return "tapped"


def make_codec(name: str) -> IEXICodec:
    if name == "java":
        from iso15118.shared.exificient_exi_codec import ExificientEXICodec

        return ExificientEXICodec()
    from sim.vehicle.exi_codec import SeccExiCodec

    return SeccExiCodec()


async def serve(options: argparse.Namespace) -> None:
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
    controller = Station([int(limit) for limit in options.limits.split(",")])
    await controller.set_status(ServiceStatus.STARTING)
    codec = Receipts(make_codec(options.codec), options.receipts, options.stop_after)
    await SECCHandler(codec, controller, config).start(options.interface)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("interface")
    parser.add_argument("pki", type=Path)
    parser.add_argument("auth")
    parser.add_argument("--tcp", action="store_true")
    parser.add_argument("--receipts", type=int, default=0)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--limits", default="16")
    parser.add_argument("--codec", default="ours")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
