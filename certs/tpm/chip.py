"""What the chip tells of itself and of its keys."""

# tpm2_pytss takes plain integers where its hints ask for its own kinds of int, and has untyped constructors.
# mypy: disable-error-code="no-untyped-call, arg-type"

from dataclasses import dataclass

from tpm2_pytss.constants import TPM2_CAP, TPM2_PT, TPM2_PT_FIRMWARE, TPM2_PT_HR, TPMA_OBJECT
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.types import TPMT_PUBLIC

from certs.keystore import Curve
from certs.tpm.objects import CURVES, curve_of

IN_LOCKOUT = 1 << 9
"""TPMA_PERMANENT.inLockout."""


@dataclass(frozen=True, slots=True)
class KeyAttributes:
    """What the TPM itself says of a key; the proof that it was made in it and cannot leave it."""

    handle: int
    curve: Curve
    fixed_tpm: bool
    fixed_parent: bool
    sensitive_data_origin: bool
    no_da: bool
    name: str
    """The TPM's name of the object: hex of hash algorithm and digest over its public area."""

    def __str__(self) -> str:
        flags = ("fixed_tpm", "fixed_parent", "sensitive_data_origin", "no_da")
        words = ("fixedTPM", "fixedParent", "sensitiveDataOrigin", "noDA")
        return "|".join(word for flag, word in zip(flags, words, strict=True) if getattr(self, flag))


@dataclass(frozen=True, slots=True)
class Chip:
    """What the chip is and how it stands."""

    manufacturer: str
    firmware: str
    curves: tuple[Curve, ...]
    persistent_free: int
    lockout_counter: int
    locked_out: bool


@dataclass(frozen=True, slots=True)
class Endorsement:
    """The chip's own identity, for enrolment at the factory."""

    certificate_der: bytes | None
    """By the chip's maker, as it lies in the chip; some chips have none."""
    public_area: bytes
    """TPM2B_PUBLIC of the endorsement key, what a credential is made for."""


def attributes_of(persistent: int, public: TPMT_PUBLIC, name: bytes) -> KeyAttributes:
    bits = int(public.objectAttributes)
    return KeyAttributes(
        handle=persistent,
        curve=curve_of(public),
        fixed_tpm=bool(bits & TPMA_OBJECT.FIXEDTPM),
        fixed_parent=bool(bits & TPMA_OBJECT.FIXEDPARENT),
        sensitive_data_origin=bool(bits & TPMA_OBJECT.SENSITIVEDATAORIGIN),
        no_da=bool(bits & TPMA_OBJECT.NODA),
        name=name.hex(),
    )


def read_chip(esapi: ESAPI) -> Chip:
    curves = esapi.get_capability(TPM2_CAP.ECC_CURVES, 0, 64)
    known = {int(curve) for curve in curves[1].data.eccCurves}
    manufacturer = _property(esapi, TPM2_PT.MANUFACTURER).to_bytes(4, "big").rstrip(b"\0")
    firmware = _property(esapi, TPM2_PT_FIRMWARE.VERSION_1)
    permanent = _property(esapi, TPM2_PT.PERMANENT)
    return Chip(
        manufacturer=manufacturer.decode("ascii", "replace"),
        firmware=f"{firmware >> 16}.{firmware & 0xFFFF}",
        curves=tuple(curve for curve, number in CURVES.items() if int(number) in known),
        persistent_free=_property(esapi, TPM2_PT_HR.PERSISTENT_AVAIL),
        lockout_counter=_property(esapi, TPM2_PT.LOCKOUT_COUNTER),
        locked_out=bool(permanent & IN_LOCKOUT),
    )


def _property(esapi: ESAPI, wanted: int) -> int:
    answer = esapi.get_capability(TPM2_CAP.TPM_PROPERTIES, wanted, 1)
    properties = answer[1].data.tpmProperties
    found = properties[0]
    return int(found.value) if len(properties) and found.property == wanted else 0
