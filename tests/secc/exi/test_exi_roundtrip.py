"""Random messages of every root element and every fragment of all nine schemas."""

from __future__ import annotations

import random

import pytest

from secc.exi import Namespace, decode, encode
from secc.exi.tables import tables
from tests.secc.exi.exi_generator import Generator, roots

EACH = 3
LEAST = 5_000


def names(namespace: Namespace, *, fragment: bool) -> list[str]:
    return roots(tables(namespace), fragment=fragment)


@pytest.mark.parametrize("fragment", [False, True], ids=["document", "fragment"])
@pytest.mark.parametrize("namespace", Namespace, ids=lambda namespace: namespace.name)
def test_what_is_written_is_read_back(namespace: Namespace, fragment: bool) -> None:
    found = tables(namespace)
    generator = Generator(found, random.Random(f"{namespace} {fragment}"))
    for root in names(namespace, fragment=fragment):
        for _ in range(EACH):
            message = generator.message(found.fragment if fragment else found.document, root)
            octets = encode(namespace, message, fragment=fragment)
            assert decode(namespace, octets, fragment=fragment) == message
            assert decode(namespace, octets + b"\x00\xff", fragment=fragment) == message


def test_these_are_at_least_five_thousand() -> None:
    kinds = sum(len(names(namespace, fragment=fragment)) for namespace in Namespace for fragment in (False, True))
    assert kinds * EACH >= LEAST


@pytest.mark.parametrize(
    ("namespace", "documents"),
    [
        (Namespace.SAP, {"supportedAppProtocolReq", "supportedAppProtocolRes"}),
        (Namespace.DIN, {"V2G_Message"}),
        (Namespace.ISO_2, {"V2G_Message"}),
        (Namespace.ISO_20_COMMON, {"SessionSetupReq", "CertificateInstallationRes", "SignedInstallationData"}),
        (Namespace.ISO_20_AC, {"AC_ChargeLoopReq", "AC_ChargeParameterDiscoveryRes"}),
        (Namespace.ISO_20_DC, {"DC_ChargeLoopRes", "DC_PreChargeReq", "DC_WeldingDetectionRes"}),
        (Namespace.ISO_20_WPT, {"WPT_ChargeLoopReq", "WPT_FinePositioningRes", "WPT_PairingReq"}),
        (Namespace.ISO_20_ACDP, {"ACDP_VehiclePositioningReq", "ACDP_ConnectRes", "ACDP_SystemStatusReq"}),
        (Namespace.XMLDSIG, {"Signature", "SignedInfo", "KeyInfo"}),
    ],
)
def test_the_messages_of_each_namespace_are_among_them(namespace: Namespace, documents: set[str]) -> None:
    assert documents <= set(names(namespace, fragment=False))
    assert documents <= set(names(namespace, fragment=True))


def test_only_what_demands_a_wildcard_or_is_abstract_is_left_out() -> None:
    found = tables(Namespace.XMLDSIG)
    offered = {production[1] for production in found.states[found.document][2]} - {"wildcard"}
    assert offered - set(names(Namespace.XMLDSIG, fragment=False)) == {"SignatureProperty", "SignatureProperties"}
