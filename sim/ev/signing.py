"""The vehicle's signatures: XML signatures over EXI fragments (ISO 15118-2 annex J, ISO 15118-20 clause 7.9)."""

from hashlib import sha256, sha512

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from secc.exi import Namespace, encode
from sim.ev.script import Elements

CANONICAL_EXI = "http://www.w3.org/TR/canonical-exi/"


def signature_over(namespace: Namespace, name: str, element: Elements, key: ec.EllipticCurvePrivateKey) -> Elements:
    """The Signature element over `element`, whose Id it names. P-256 goes with SHA-256, P-521 with SHA-512."""
    short = key.curve.key_size == 256
    bits = 256 if short else 512
    fragment = encode(namespace, {name: element}, fragment=True)
    canonical = {"Algorithm": CANONICAL_EXI}
    signed_info = {
        "CanonicalizationMethod": canonical,
        "SignatureMethod": {"Algorithm": f"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha{bits}"},
        "Reference": [
            {
                "URI": f"#{element['Id']}",
                "Transforms": {"Transform": [canonical]},
                "DigestMethod": {"Algorithm": f"http://www.w3.org/2001/04/xmlenc#sha{bits}"},
                "DigestValue": (sha256 if short else sha512)(fragment).digest(),
            }
        ],
    }
    octets = encode(Namespace.XMLDSIG, {"SignedInfo": signed_info}, fragment=True)
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(SHA256() if short else SHA512())))
    size = (key.curve.key_size + 7) // 8
    return {"SignedInfo": signed_info, "SignatureValue": {"value": r.to_bytes(size) + s.to_bytes(size)}}
