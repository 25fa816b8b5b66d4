"""OCMF, the Open Charge Metering Format (S.A.F.E., version 1.x): what a signing meter says. Pure.

A record is `OCMF|{payload}|{signature}`. The signature is over the payload's bytes as they stand, so a record is passed
on unaltered and is never written anew from what was read here. Readings may leave out what they share with the one
before. Bounded: 16 KiB, 1000 readings.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from hal.ports import HalError

MAX_LENGTH = 16384
MAX_READINGS = 1000
MAX_VALUE = Decimal(10) ** 12
"""More is no register's, and arithmetic with it may overflow."""
DEFAULT_ALGORITHM = "ECDSA-secp256r1-SHA256"
_DER = "application/x-der"
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)[,.](\d{3})([+-]\d\d):?(\d\d) ([USIR])")
_WH = {"Wh": Decimal(1), "kWh": Decimal(1000)}


class OcmfError(HalError):
    """Not an OCMF record; the message says where it ends being one."""


@dataclass(frozen=True, slots=True)
class OcmfReading:
    time: datetime
    time_status: str
    """U unknown, I informative, S synchronised, R relative."""
    transaction: str
    """TX: B begin, C charging, X exception, E end, L T R A P S as the format has them; empty for none."""
    value: Decimal
    obis: str
    """RI, the OBIS code; may be empty."""
    unit: str
    status: str
    """ST: G good; everything else is no billing value."""
    error_flags: str
    """EF: E for energy, t for time; empty for none."""

    @property
    def energy_wh(self) -> Decimal | None:
        """In Wh, None when the unit is none of energy."""
        factor = _WH.get(self.unit)
        return None if factor is None else self.value * factor


@dataclass(frozen=True, slots=True)
class OcmfRecord:
    text: str
    """The record as it came."""
    signed: bytes
    """What the signature is over."""
    algorithm: str
    signature: bytes
    """DER: SEQUENCE of r and s."""
    format_version: str
    pagination: str
    """PG: T or F, and a number that counts without gaps."""
    meter_serial: str
    gateway_serial: str
    identification: str
    """ID, the token or contract this transaction is billed to."""
    readings: tuple[OcmfReading, ...]

    @property
    def energy_wh(self) -> Decimal | None:
        """From the first to the last reading of a whole transaction; None for a record that is none."""
        if len(self.readings) < 2 or self.readings[0].transaction != "B":
            return None
        first, last = self.readings[0].energy_wh, self.readings[-1].energy_wh
        return None if first is None or last is None else last - first


def parse(text: str) -> OcmfRecord:
    """Raises OcmfError."""
    if len(text) > MAX_LENGTH:
        raise OcmfError(f"{len(text)} characters, at most {MAX_LENGTH} are taken")
    text = text.strip()
    head, _, rest = text.partition("|")
    signed, _, seal = rest.rpartition("|")
    if head != "OCMF" or not signed:
        raise OcmfError("not OCMF|payload|signature")
    payload, signature = _object(signed, "payload"), _object(seal, "signature")
    return OcmfRecord(
        text=text,
        signed=_utf8(signed),
        algorithm=_text(signature, "SA") or DEFAULT_ALGORITHM,
        signature=_signature(signature),
        format_version=_text(payload, "FV"),
        pagination=_text(payload, "PG"),
        meter_serial=_text(payload, "MS"),
        gateway_serial=_text(payload, "GS"),
        identification=_text(payload, "ID"),
        readings=_readings(payload.get("RD")),
    )


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise OcmfError(f"payload: {error}") from error


def _object(text: str, what: str) -> dict[str, object]:
    try:
        found = json.loads(text, parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_unambiguous)
    except (ValueError, RecursionError) as error:
        raise OcmfError(f"{what}: {error}") from error
    if not isinstance(found, dict):
        raise OcmfError(f"{what}: not an object")
    return found


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no number")


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    # With a key twice, two readers of the same signed bytes may see two values.
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key, "")
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        raise OcmfError(f"{key}: not a text")
    return str(value)


def _signature(fields: Mapping[str, object]) -> bytes:
    if (kind := _text(fields, "SM") or _DER) != _DER:
        raise OcmfError(f"SM: {kind} is not known")
    data, encoding = _text(fields, "SD"), _text(fields, "SE") or "hex"
    try:
        if encoding == "hex":
            return bytes.fromhex(data)
        if encoding == "base64":
            return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as error:
        raise OcmfError(f"SD: not {encoding}") from error
    raise OcmfError(f"SE: {encoding} is not known")


def _readings(raw: object) -> tuple[OcmfReading, ...]:
    if not isinstance(raw, list) or not 1 <= len(raw) <= MAX_READINGS:
        raise OcmfError(f"RD: not a list of 1 to {MAX_READINGS} readings")
    readings = []
    known: dict[str, object] = {}
    for fields in raw:
        if not isinstance(fields, dict):
            raise OcmfError("RD: a reading is not an object")
        known |= fields
        readings.append(_reading(known))
    return tuple(readings)


def _reading(fields: Mapping[str, object]) -> OcmfReading:
    moment, status = _time(_text(fields, "TM"))
    value = fields.get("RV")
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise OcmfError("RV: not a number")
    if not -MAX_VALUE < value < MAX_VALUE:
        raise OcmfError("RV: out of range")
    return OcmfReading(
        time=moment,
        time_status=status,
        transaction=_text(fields, "TX"),
        value=Decimal(value),
        obis=_text(fields, "RI"),
        unit=_text(fields, "RU"),
        status=_text(fields, "ST"),
        error_flags=_text(fields, "EF"),
    )


def _time(text: str) -> tuple[datetime, str]:
    found = _TIME.fullmatch(text)
    if found is None:
        raise OcmfError(f"TM: {text[:40]!r} is no time")
    try:
        return datetime.fromisoformat(f"{found[1]}.{found[2]}{found[3]}:{found[4]}"), found[5]
    except ValueError as error:
        raise OcmfError(f"TM: {error}") from error
