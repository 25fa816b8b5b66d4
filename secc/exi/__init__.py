"""EXI for V2G communication: schema-informed, bit-packed, without options, as the ISO 15118 family uses it.

    decode(Namespace.ISO_2, octets)                        -> {"V2G_Message": {"Header": ..., "Body": ...}}
    encode(Namespace.XMLDSIG, {"SignedInfo": ...}, fragment=True) -> octets

Shape of a message: a key is an element's or attribute's local name; what may occur more than once is a list; text of an
element with attributes stands under "value"; an empty element is {}; integers, booleans and strings are themselves,
an enumeration's value is its string, hexBinary and base64Binary are bytes. The order of keys is of no meaning.
"""

from secc.exi.codec import decode, encode
from secc.exi.errors import ExiDecodeError, ExiEncodeError, ExiError, Reason, SchemaError
from secc.exi.namespaces import Namespace

__all__ = [
    "ExiDecodeError",
    "ExiEncodeError",
    "ExiError",
    "Namespace",
    "Reason",
    "SchemaError",
    "decode",
    "encode",
]
