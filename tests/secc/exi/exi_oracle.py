"""The codec in the iso15118 package's jar, as something to compare with. Needs a Java runtime."""

from __future__ import annotations

import json
import resource
import shutil
from pathlib import Path
from typing import Any

from secc.exi import Namespace
from secc.exi.binaries import convert
from sim.vehicle.exi_codec import _to_base64, _to_hexadecimal

JAVA = shutil.which("java")


class Jar:
    """`encode` and `decode` as the jar does them; raises what py4j raises."""

    def __init__(self) -> None:
        from iso15118.shared.exificient_exi_codec import ExificientEXICodec

        self._codec = ExificientEXICodec()

    def encode(self, namespace: str, message: dict[str, Any], *, fragment: bool) -> bytes:
        return bytes(self._codec.encode(json_text(namespace, message, fragment=fragment), str(namespace)))

    def decode(self, namespace: str, data: bytes) -> Any:
        return json.loads(self._codec.decode(data, str(namespace)))

    def encode_text(self, namespace: str, text: str) -> bytes | None:
        """As above, of JSON text; None where the jar fails."""
        octets = self._codec.exi_codec.encode(text, str(namespace))
        return bytes(octets) if octets is not None else None

    def decode_text(self, namespace: str, data: bytes) -> str | None:
        text: str | None = self._codec.exi_codec.decode(data, str(namespace))
        return text

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._codec.gateway.java_process.pid}/statm").read_text()
        return round(int(status.split()[1]) * resource.getpagesize() / 1e6, 1)

    def close(self) -> None:
        """Ends the JVM this object started."""
        process = self._codec.gateway.java_process
        self._codec.gateway.shutdown()
        process.terminate()
        process.wait(10)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def json_text(namespace: str, message: dict[str, Any], *, fragment: bool) -> str:
    """The message as JSON, with bytes as the jar takes them."""
    return json.dumps(convert(namespace, message, fragment=fragment, hexadecimal=_to_hexadecimal, base64=_to_base64))


# Where the jar was seen to be right, so that a difference is a fault of ours.
DOCUMENT_NAMESPACES = (
    Namespace.SAP,
    Namespace.DIN,
    Namespace.ISO_2,
    Namespace.ISO_20_COMMON,
    Namespace.ISO_20_AC,
    Namespace.ISO_20_DC,
)
FRAGMENTS = {
    Namespace.ISO_2: (
        "AuthorizationReq",
        "CertificateInstallationReq",
        "ContractSignatureCertChain",
        "ContractSignatureEncryptedPrivateKey",
        "DHpublickey",
        "MeteringReceiptReq",
        "eMAID",
    ),
    Namespace.ISO_20_COMMON: ("PnC_AReqAuthorizationMode", "OEMProvisioningCertificateChain"),
}
