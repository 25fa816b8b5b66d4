"""ISO 15118-20 through the whole station, and contract certificates installed on the way, in -20 and in -2."""

from collections.abc import Callable

from certs.keystore import Purpose
from sim.pki.pki import EMAID
from sim.site import CARD, Options, Site
from tests.e2e.test_e2e_site import assert_whole, facts, until_ended, until_it_leaves

ASK = "Get15118EVCertificate"
BRIEFLY = ("--charge-s", "3")
WITH_CARD = ("--swipe", CARD, "--swipe-after", "1")


def forget(site: Site) -> None:
    """The next session's records start in empty files."""
    for name in ("csms", "events", "vehicle"):
        with (site.directory / f"{name}.jsonl").open("r+b") as file:
            file.truncate()


def asked(site: Site) -> list[dict]:
    return [line["payload"] for line in site.read("csms") if line["action"] == ASK]


def responses(site: Site) -> list[tuple[str, str]]:
    return [(event["name"], event["code"]) for event in site.read("vehicle") if event["event"] == "message"]


def test_iso_15118_20_with_a_tpm_key_a_contract_and_one_that_is_installed(make_site: Callable[..., Site]) -> None:
    site = make_site(Options(sampled_interval_s=1.0, iso20=True, provides_contracts=True))
    assert until_it_leaves(site, site.start_vehicle("iso20-ac-pnc", *BRIEFLY)) == 0, site.log_of("vehicle")
    events = until_ended(site)
    assert_whole(site, events)
    assert events[0]["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    (tls,) = facts(site, "TlsEstablished")
    assert tls["version"] == "TLSv1.3"
    assert facts(site, "SessionSetUp")[0]["protocol"] == "ISO 15118-20"
    assert site.keys[Purpose.SECC_20].fixed_tpm
    assert not asked(site)

    forget(site)
    vehicle = site.start_vehicle("iso20-ac-install", *BRIEFLY)
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    assert until_ended(site)[0]["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    (request,) = asked(site)
    assert (request["iso15118SchemaVersion"], request["action"]) == (
        "urn:iso:std:iso:15118:-20:CommonMessages",
        "Install",
    )
    assert ("CertificateInstallationReq", "OK") in responses(site)

    forget(site)
    site.command_csms({"behaviour": {"silent": [ASK]}})
    vehicle = site.start_vehicle("iso20-ac-install", *BRIEFLY, *WITH_CARD)
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    assert ("CertificateInstallationReq", "WARNING_NoCertificateAvailable") in responses(site)
    assert until_ended(site)[0]["idToken"]["idToken"] == CARD


def test_iso_15118_2_with_a_contract_that_is_installed_and_one_that_is_not(make_site: Callable[..., Site]) -> None:
    site = make_site(Options(sampled_interval_s=1.0, provides_contracts=True))
    vehicle = site.start_vehicle("iso2-ac-install", *BRIEFLY)
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    assert until_ended(site)[0]["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    (request,) = asked(site)
    assert request["iso15118SchemaVersion"] == "urn:iso:15118:2:2013:MsgDef"

    forget(site)
    site.command_csms({"behaviour": {"answers": {ASK: {"status": "Failed", "exiResponse": ""}}}})
    refused = 3
    assert until_it_leaves(site, site.start_vehicle("iso2-ac-install", *BRIEFLY)) == refused, site.log_of("vehicle")
    assert ("CertificateInstallationReq", "FAILED_NoCertificateAvailable") in responses(site)

    vehicle = site.start_vehicle("iso2-ac-eim", *BRIEFLY, *WITH_CARD)
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    assert until_ended(site)[0]["idToken"]["idToken"] == CARD


def test_iso_15118_20_dc_with_a_contract(make_site: Callable[..., Site]) -> None:
    site = make_site(Options(sampled_interval_s=1.0, iso20=True, dc=True))
    vehicle = site.start_vehicle("iso20-dc-pnc", *BRIEFLY)
    assert until_it_leaves(site, vehicle) == 0, site.log_of("vehicle")
    events = until_ended(site)
    assert_whole(site, events)
    assert events[0]["idToken"] == {"idToken": EMAID, "type": "eMAID"}
    stages = [fact["stage"] for fact in facts(site, "DcStaged")]
    reached = [stages.index(stage) for stage in ("cable check", "pre-charge", "charging", "discharging")]
    assert reached == sorted(reached)
    assert not [event for event in site.read("vehicle") if event["event"] == "contactors" and event["under_load"]]
