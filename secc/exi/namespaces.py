"""The nine schemas of V2G communication, by target namespace."""

from __future__ import annotations

from enum import StrEnum


class Namespace(StrEnum):
    SAP = "urn:iso:15118:2:2010:AppProtocol"
    DIN = "urn:din:70121:2012:MsgDef"
    ISO_2 = "urn:iso:15118:2:2013:MsgDef"
    ISO_20_COMMON = "urn:iso:std:iso:15118:-20:CommonMessages"
    ISO_20_AC = "urn:iso:std:iso:15118:-20:AC"
    ISO_20_DC = "urn:iso:std:iso:15118:-20:DC"
    ISO_20_WPT = "urn:iso:std:iso:15118:-20:WPT"
    ISO_20_ACDP = "urn:iso:std:iso:15118:-20:ACDP"
    XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"


ROOT_SCHEMA = {
    Namespace.SAP: "V2G_CI_AppProtocol.xsd",
    Namespace.DIN: "din_spec/V2G_CI_MsgDef.xsd",
    Namespace.ISO_2: "iso15118_2/V2G_CI_MsgDef.xsd",
    Namespace.ISO_20_COMMON: "iso15118_20/V2G_CI_CommonMessages.xsd",
    Namespace.ISO_20_AC: "iso15118_20/V2G_CI_AC.xsd",
    Namespace.ISO_20_DC: "iso15118_20/V2G_CI_DC.xsd",
    Namespace.ISO_20_WPT: "iso15118_20/V2G_CI_WPT.xsd",
    Namespace.ISO_20_ACDP: "iso15118_20/V2G_CI_ACDP.xsd",
    Namespace.XMLDSIG: "xmldsig-core-schema.xsd",
}
