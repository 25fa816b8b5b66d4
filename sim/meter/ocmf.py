"""A signing meter: one transaction at a time, records in OCMF, signed with a key of its own."""

import json
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class OcmfMeter:
    """`start`, `read` and `stop` give signed records; `stop` is the whole transaction, begin and end."""

    def __init__(self, serial: str = "SIM00001", key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._serial = serial
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._pages = 0
        self._id_token = ""
        self._begin: dict[str, object] | None = None

    @property
    def public_key(self) -> str:
        """Hex of the DER SubjectPublicKeyInfo."""
        public = self._key.public_key()
        return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex()

    def start(self, id_token: str, energy_wh: float, at: datetime) -> str:
        self._id_token = id_token
        self._begin = _reading("B", energy_wh, at)
        return self._signed([self._begin])

    def read(self, energy_wh: float, at: datetime) -> str:
        return self._signed([_reading("C", energy_wh, at)])

    def so_far(self, energy_wh: float, at: datetime) -> str:
        """The running transaction, from its beginning to now. Raises ValueError when nothing was started."""
        if self._begin is None:
            raise ValueError("no transaction")
        return self._signed([self._begin, _reading("C", energy_wh, at)])

    def stop(self, energy_wh: float, at: datetime) -> str:
        """Raises ValueError when nothing was started."""
        if self._begin is None:
            raise ValueError("no transaction")
        begin, self._begin = self._begin, None
        return self._signed([begin, _reading("E", energy_wh, at)])

    def _signed(self, readings: list[dict[str, object]]) -> str:
        self._pages += 1
        payload = {
            "FV": "1.0",
            "GI": "evsed simulated meter",
            "GS": self._serial,
            "PG": f"T{self._pages}",
            "MV": "evsed",
            "MM": "sim.meter",
            "MS": self._serial,
            "IS": True,
            "IL": "HEARSAY",
            "IT": "ISO14443",
            "ID": self._id_token,
            "RD": readings,
        }
        text = json.dumps(payload, separators=(",", ":"))
        signature = self._key.sign(text.encode(), ec.ECDSA(SHA256()))
        return f'OCMF|{text}|{{"SA":"ECDSA-secp256r1-SHA256","SD":"{signature.hex()}"}}'


def _reading(transaction: str, energy_wh: float, at: datetime) -> dict[str, object]:
    moment = at.strftime("%Y-%m-%dT%H:%M:%S,") + f"{at.microsecond // 1000:03}" + at.strftime("%z")
    return {
        "TM": f"{moment} S",
        "TX": transaction,
        "RV": round(energy_wh / 1000, 4),
        "RI": "01-00:B2.08.00*FF",
        "RU": "kWh",
        "RT": "AC",
        "EF": "",
        "ST": "G",
    }
