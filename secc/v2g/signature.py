"""The XML signature of ISO 15118-2 clause 7.9.2.4.2 and ISO 15118-20, over EXI: did this certificate sign this element?

The digest is taken over the EXI fragment of the element in its own schema, the signature over the EXI fragment of
SignedInfo in the xmldsig schema alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256, sha512
from hmac import compare_digest
from typing import cast

from secc.exi import ExiError, Namespace, encode
from secc.ports import Certificates

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"


@dataclass(frozen=True, slots=True)
class Suite:
    """A curve with its hash, as the signature names them."""

    signature: str
    digest: str
    size: int
    """Octets of the signature value."""
    hash: Callable[[bytes], bytes]


P_256 = Suite(
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmlenc#sha256",
    64,
    lambda data: sha256(data).digest(),
)
P_521 = Suite(
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
    "http://www.w3.org/2001/04/xmlenc#sha512",
    132,
    lambda data: sha512(data).digest(),
)


def verify(
    signature: Mapping[str, object] | None,
    name: str,
    element: Mapping[str, object],
    leaf_der: bytes,
    certificates: Certificates,
    *,
    namespace: Namespace = Namespace.ISO_2,
    suites: Sequence[Suite] = (P_256,),
) -> bool:
    """Whether `signature` (a decoded Signature element) is `leaf_der`'s over `element`, named `name` in `namespace`.

    Exactly this element must be referenced, by its Id; a signature over something else proves nothing about it.
    """
    if signature is None:
        return False
    try:
        signed_info = cast(Mapping[str, object], signature["SignedInfo"])
        value = cast(Mapping[str, bytes], signature["SignatureValue"])["value"]
        suite = _suite(signed_info, suites)
        if suite is None or len(value) != suite.size:
            return False
        if not _references(signed_info, name, element, namespace, suite):
            return False
        signed = encode(Namespace.XMLDSIG, {"SignedInfo": signed_info}, fragment=True)
    except (KeyError, TypeError, AttributeError, ExiError):
        return False
    return certificates.verify_signature(leaf_der, signed, value)


def _suite(signed_info: Mapping[str, object], suites: Sequence[Suite]) -> Suite | None:
    canonicalization = cast(Mapping[str, str], signed_info["CanonicalizationMethod"])["Algorithm"]
    method = cast(Mapping[str, str], signed_info["SignatureMethod"])["Algorithm"]
    if canonicalization != CANONICAL_EXI:
        return None
    return next((suite for suite in suites if suite.signature == method), None)


def _references(
    signed_info: Mapping[str, object], name: str, element: Mapping[str, object], namespace: Namespace, suite: Suite
) -> bool:
    references = cast(list[Mapping[str, object]], signed_info["Reference"])
    if len(references) != 1 or not element.get("Id"):
        return False
    reference = references[0]
    digest_method = cast(Mapping[str, str], reference["DigestMethod"])["Algorithm"]
    if reference["URI"] != f"#{element['Id']}" or digest_method != suite.digest:
        return False
    fragment = encode(namespace, {name: element}, fragment=True)
    return compare_digest(suite.hash(fragment), cast(bytes, reference["DigestValue"]))


def refers_to(signature: Mapping[str, object], element: Mapping[str, object], octets: bytes) -> bool:
    """Whether `signature` has a digest of `element`, whose EXI fragment is `octets`. Who signed is not asked."""
    try:
        signed_info = cast(Mapping[str, object], signature["SignedInfo"])
        for reference in cast(list[Mapping[str, object]], signed_info["Reference"]):
            method = cast(Mapping[str, str], reference["DigestMethod"])["Algorithm"]
            suite = next((suite for suite in (P_256, P_521) if suite.digest == method), None)
            if suite and element.get("Id") and reference.get("URI") == f"#{element['Id']}":
                return compare_digest(suite.hash(octets), cast(bytes, reference["DigestValue"]))
    except (KeyError, TypeError):
        return False
    return False
