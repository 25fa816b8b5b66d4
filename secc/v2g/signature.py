"""The XML signature of ISO 15118-2 clause 7.9.2.4.2, over EXI: is this element signed by this certificate?

The digest is taken over the EXI fragment of the element in its own schema, the signature over the EXI fragment of
SignedInfo in the xmldsig schema alone.
"""

from collections.abc import Mapping
from hashlib import sha256
from hmac import compare_digest
from typing import cast

from secc.exi import ExiError, Namespace, encode
from secc.ports import Certificates

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SIGNATURE_BYTES = 64


def verify(
    signature: Mapping[str, object] | None,
    name: str,
    element: Mapping[str, object],
    leaf_der: bytes,
    certificates: Certificates,
) -> bool:
    """Whether `signature` (a decoded Signature element) is `leaf_der`'s over `element`, named `name` in ISO 15118-2.

    Exactly this element must be referenced, by its Id; a signature over something else proves nothing about it.
    """
    if signature is None:
        return False
    try:
        signed_info = cast(Mapping[str, object], signature["SignedInfo"])
        value = cast(Mapping[str, bytes], signature["SignatureValue"])["value"]
        if not _algorithms_known(signed_info) or len(value) != SIGNATURE_BYTES:
            return False
        if not _references(signed_info, name, element):
            return False
        signed = encode(Namespace.XMLDSIG, {"SignedInfo": signed_info}, fragment=True)
    except (KeyError, TypeError, AttributeError, ExiError):
        return False
    return certificates.verify_signature(leaf_der, signed, value)


def _algorithms_known(signed_info: Mapping[str, object]) -> bool:
    canonicalization = cast(Mapping[str, str], signed_info["CanonicalizationMethod"])["Algorithm"]
    method = cast(Mapping[str, str], signed_info["SignatureMethod"])["Algorithm"]
    return canonicalization == CANONICAL_EXI and method == ECDSA_SHA256


def _references(signed_info: Mapping[str, object], name: str, element: Mapping[str, object]) -> bool:
    references = cast(list[Mapping[str, object]], signed_info["Reference"])
    if len(references) != 1 or not element.get("Id"):
        return False
    reference = references[0]
    digest_method = cast(Mapping[str, str], reference["DigestMethod"])["Algorithm"]
    if reference["URI"] != f"#{element['Id']}" or digest_method != SHA256:
        return False
    fragment = encode(Namespace.ISO_2, {name: element}, fragment=True)
    return compare_digest(sha256(fragment).digest(), cast(bytes, reference["DigestValue"]))
