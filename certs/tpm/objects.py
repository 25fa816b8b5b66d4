"""What the station's objects in the TPM are made of: attributes, templates, and the sessions secrets travel by."""

# tpm2_pytss takes plain integers where its hints ask for its own kinds of int, and has untyped constructors.
# mypy: disable-error-code="no-untyped-call, arg-type"

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tpm2_pytss.constants import (
    ESYS_TR,
    TPM2_ALG,
    TPM2_ECC,
    TPM2_NT,
    TPM2_SE,
    TPMA_NV,
    TPMA_OBJECT,
    TPMA_SESSION,
)
from tpm2_pytss.ESAPI import ESAPI
from tpm2_pytss.types import (
    TPM2B_PUBLIC,
    TPML_PCR_SELECTION,
    TPMS_ECC_PARMS,
    TPMT_ECC_SCHEME,
    TPMT_KDF_SCHEME,
    TPMT_PUBLIC,
    TPMT_SYM_DEF,
    TPMT_SYM_DEF_OBJECT,
    TPMU_PUBLIC_PARMS,
    TPMU_SYM_KEY_BITS,
    TPMU_SYM_MODE,
)
from tpm2_pytss.utils import NVReadEK, create_ek_template

from certs.errors import KeyFault, KeyUnavailable
from certs.keystore import Curve

STATION_KEY = (
    TPMA_OBJECT.FIXEDTPM
    | TPMA_OBJECT.FIXEDPARENT
    | TPMA_OBJECT.SENSITIVEDATAORIGIN
    | TPMA_OBJECT.USERWITHAUTH
    | TPMA_OBJECT.NODA
)
SIGNING_KEY = STATION_KEY | TPMA_OBJECT.SIGN_ENCRYPT
STORAGE_KEY = STATION_KEY | TPMA_OBJECT.RESTRICTED | TPMA_OBJECT.DECRYPT

SEALED_OBJECT = TPMA_OBJECT.FIXEDTPM | TPMA_OBJECT.FIXEDPARENT | TPMA_OBJECT.NODA
COUNTER = (
    TPMA_NV.OWNERREAD
    | TPMA_NV.OWNERWRITE
    | TPMA_NV.AUTHREAD
    | TPMA_NV.AUTHWRITE
    | TPMA_NV.NO_DA
    | (TPM2_NT.COUNTER << TPMA_NV.TPM2_NT_SHIFT)
)

ENDORSEMENT_KEYS = ("EK-ECC256", "EK-HIGH-ECC256", "EK-HIGH-ECC384", "EK-HIGH-ECC521")
"""By the TCG's EK credential profile. RSA keys take a chip minutes to make; who has one has an ECC one too."""

CURVES = {Curve.P256: TPM2_ECC.NIST_P256, Curve.P384: TPM2_ECC.NIST_P384, Curve.P521: TPM2_ECC.NIST_P521}
COORDINATE_SIZE = {Curve.P256: 32, Curve.P384: 48, Curve.P521: 66}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret only this TPM can open; the two halves of a TPM object, safe to keep in flash."""

    private: bytes
    public: bytes
    pcrs: tuple[int, ...] = ()
    """Platform registers (SHA-256 bank) that must read as they did when it was sealed."""

    def to_bytes(self) -> bytes:
        return b"".join(len(part).to_bytes(2, "big") + part for part in (bytes(self.pcrs), self.private, self.public))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Sealed":
        """Raises KeyUnavailable BAD_FILE."""
        parts = []
        for _ in range(3):
            end = 2 + int.from_bytes(data[:2], "big")
            if len(data) < end:
                raise KeyUnavailable(KeyFault.BAD_FILE, "a sealed secret cut short")
            parts.append(data[2:end])
            data = data[end:]
        return cls(private=parts[1], public=parts[2], pcrs=tuple(parts[0]))


def require(public: TPMT_PUBLIC, required: int) -> None:
    """Refuse a key or template that lacks an attribute every station key must have. Raises KeyUnavailable."""
    missing = required & ~int(public.objectAttributes)
    if missing:
        raise KeyUnavailable(KeyFault.WEAK_ATTRIBUTES, f"lacks {TPMA_OBJECT(missing)}")


def signing_template(curve: Curve) -> TPMT_PUBLIC:
    return _template(curve, SIGNING_KEY, TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL))


def storage_template() -> TPMT_PUBLIC:
    aes_128_cfb = TPMT_SYM_DEF_OBJECT(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(aes=128), mode=TPMU_SYM_MODE(aes=TPM2_ALG.CFB)
    )
    return _template(Curve.P256, STORAGE_KEY, aes_128_cfb)


def _template(curve: Curve, attributes: int, symmetric: TPMT_SYM_DEF_OBJECT) -> TPMT_PUBLIC:
    template = TPMT_PUBLIC(
        type=TPM2_ALG.ECC,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=attributes,
        parameters=TPMU_PUBLIC_PARMS(
            eccDetail=TPMS_ECC_PARMS(
                symmetric=symmetric,
                scheme=TPMT_ECC_SCHEME(scheme=TPM2_ALG.NULL),
                curveID=CURVES[curve],
                kdf=TPMT_KDF_SCHEME(scheme=TPM2_ALG.NULL),
            )
        ),
    )
    require(template, STATION_KEY)
    return template


def sealed_template(policy: bytes) -> TPMT_PUBLIC:
    """Without a policy the empty password opens it, with one only the policy does."""
    template = TPMT_PUBLIC(
        type=TPM2_ALG.KEYEDHASH,
        nameAlg=TPM2_ALG.SHA256,
        objectAttributes=SEALED_OBJECT if policy else SEALED_OBJECT | TPMA_OBJECT.USERWITHAUTH,
        authPolicy=policy,
    )
    template.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG.NULL
    require(template, SEALED_OBJECT)
    return template


def curve_of(public: TPMT_PUBLIC) -> Curve:
    curve_id = public.parameters.eccDetail.curveID if public.type == TPM2_ALG.ECC else None
    for curve, known in CURVES.items():
        if curve_id == known:
            return curve
    raise KeyUnavailable(KeyFault.CURVE_UNSUPPORTED, "not a key on a NIST curve")


def point(public: TPMT_PUBLIC) -> bytes:
    size, point = COORDINATE_SIZE[curve_of(public)], public.unique.ecc
    return b"\x04" + bytes(point.x).rjust(size, b"\0") + bytes(point.y).rjust(size, b"\0")


@contextmanager
def station_session(esapi: ESAPI, salt_key: ESYS_TR, kind: TPM2_SE) -> Iterator[ESYS_TR]:
    """A session whose parameters travel encrypted, under a salt that only the holder of `salt_key` reads."""
    aes_128_cfb = TPMT_SYM_DEF(
        algorithm=TPM2_ALG.AES, keyBits=TPMU_SYM_KEY_BITS(sym=128), mode=TPMU_SYM_MODE(sym=TPM2_ALG.CFB)
    )
    session = esapi.start_auth_session(salt_key, ESYS_TR.NONE, kind, aes_128_cfb, TPM2_ALG.SHA256)
    if salt_key != ESYS_TR.NONE:
        esapi.trsess_set_attributes(session, TPMA_SESSION.DECRYPT | TPMA_SESSION.ENCRYPT | TPMA_SESSION.CONTINUESESSION)
    try:
        yield session
    finally:
        esapi.flush_context(session)


def pcr_selection(pcrs: tuple[int, ...]) -> TPML_PCR_SELECTION:
    return TPML_PCR_SELECTION.parse("sha256:" + ",".join(map(str, pcrs)))


def pcr_policy(esapi: ESAPI, parent: ESYS_TR, pcrs: tuple[int, ...]) -> bytes:
    with station_session(esapi, parent, TPM2_SE.TRIAL) as session:
        esapi.policy_pcr(session, b"", pcr_selection(pcrs))
        return bytes(esapi.policy_get_digest(session))


@contextmanager
def transient(esapi: ESAPI, handle: ESYS_TR) -> Iterator[None]:
    """Flush a loaded object whatever happens: chips have room for three."""
    try:
        yield
    finally:
        esapi.flush_context(handle)


def endorsement_template(esapi: ESAPI) -> tuple[bytes | None, TPM2B_PUBLIC]:
    """The first kind of endorsement key that the chip's maker has certified, with its certificate (DER); else P-256."""
    for kind in ENDORSEMENT_KEYS:
        try:
            certificate, template = create_ek_template(kind, NVReadEK(esapi))
        except ValueError:
            continue  # No certificate of that kind.
        if certificate:
            return _without_padding(certificate), template
    _, template = create_ek_template(ENDORSEMENT_KEYS[0], NVReadEK(esapi))
    return None, template


def _without_padding(der: bytes) -> bytes:
    """An NV index may be longer than the certificate in it."""
    size = 4 + int.from_bytes(der[2:4], "big") if der[:2] == b"\x30\x82" else len(der)
    return der[:size]


@contextmanager
def endorsement_session(esapi: ESAPI, template: TPM2B_PUBLIC) -> Iterator[ESYS_TR | int]:
    """What an endorsement key is used by: the empty password, or, of the older kind, the hierarchy's policy."""
    if int(template.publicArea.objectAttributes) & TPMA_OBJECT.USERWITHAUTH:
        yield ESYS_TR.PASSWORD
        return
    with station_session(esapi, ESYS_TR.NONE, TPM2_SE.POLICY) as session:
        esapi.policy_secret(ESYS_TR.ENDORSEMENT, session, b"", b"", b"", 0)
        yield session
