"""An AC session by the scripted vehicle, with the on-board charger on the cable."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import NameOID

from sim.ev import link
from sim.ev.link import Exchange, Outcome, drive
from sim.ev.script import Reply
from sim.ev.tls import context_2, context_20
from sim.ev.values import of_physical, of_rational
from sim.ev.wishes import Credential, Extra, Service, Speaks, Wishes
from sim.pki.evcc import PASSWORD
from sim.vehicle.controller import ChargeGoal
from sim.vehicle.evcc import ONGOING_PAUSE_S, Ending, SessionEnd
from sim.vehicle.log import EventLog
from sim.vehicle.onboard import OnboardCharger

NOMINAL_V = 230.0

_ENDINGS = {
    link.Ending.FINISHED: Ending.STOPPED,
    link.Ending.REFUSED: Ending.REFUSED,
    link.Ending.NOT_AUTHORIZED: Ending.REFUSED,
    link.Ending.NOT_NEGOTIATED: Ending.REFUSED,
    link.Ending.NOT_DISCOVERED: Ending.NOT_DISCOVERED,
    link.Ending.NOT_CONNECTED: Ending.NOT_CONNECTED,
    link.Ending.LOST: Ending.LOST,
    link.Ending.LEFT: Ending.LOST,
}


@dataclass(frozen=True, slots=True)
class Options:
    speaks: Speaks
    interface: str
    pki: Path
    """In the layout of `sim.pki.evcc`; the provisioning certificate is the vehicle's in TLS."""
    contract: bool
    installs: bool
    goal: ChargeGoal
    loop_delay_s: float


async def charge(options: Options, charger: OnboardCharger, events: EventLog) -> SessionEnd:
    """Runs one session to its end. Cancel it to break off."""
    vehicle = vehicle_of(options.pki)
    contract = contract_of(options.pki) if options.contract else None
    wishes = Wishes(
        options.speaks,
        Service.AC,
        contract=contract,
        provisioning=vehicle if options.installs else None,
        extras=frozenset({Extra.RECEIPTS, *([Extra.INSTALL] if options.installs else [])}),
        loop_pace_s=options.loop_delay_s,
        ongoing_pace_s=ONGOING_PAUSE_S,
        enough=lambda: options.goal.reached(charger),
        ac_current_a=charger.demand.vehicle_max_a,
        phases=charger.demand.phases,
        nominal_v=NOMINAL_V,
    )

    async def power(on: bool) -> None:
        await (charger.start() if on else charger.stopped())

    def heard(exchange: Exchange, reply: Reply) -> None:
        events.write("message", name=exchange.name, code=exchange.code)
        if reply.name == "SessionSetupRes":
            session_id = reply.session_id.hex().upper()
            events.write("session", session_id=session_id, evse_id=str(reply.elements["EVSEID"]))
        elif reply.name == "AC_ChargeLoopRes":
            _follow(reply, charger, events)
        elif reply.name == "ChargingStatusRes":
            charger.limit(of_physical(reply.elements["EVSEMaxCurrent"]))

    root = (options.pki / "iso15118_2" / "certs" / "v2gRootCACert.pem").read_bytes()
    tls = context_20(root, vehicle) if options.speaks is Speaks.ISO_20 else context_2(root)
    outcome = await drive(wishes, options.interface, tls=tls, power=power, heard=heard)
    _note(outcome, events)
    return SessionEnd(_ENDINGS[outcome.ending], outcome.detail)


def _follow(reply: Reply, charger: OnboardCharger, events: EventLog) -> None:
    """The power of one phase that the station allows now, as a current."""
    target = reply.elements["Scheduled_AC_CLResControlMode"]["EVSETargetActivePower"]
    charger.limit(round(of_rational(target) / NOMINAL_V, 2))
    notification = reply.elements.get("EVSEStatus", {}).get("EVSENotification")
    if notification:
        events.write("notification", evse_notification=notification)


def _note(outcome: Outcome, events: EventLog) -> None:
    if outcome.tls_version:
        events.write("tls", version=outcome.tls_version)
    if outcome.told.contract is not None:
        events.write("contract", emaid=outcome.told.contract.name)
    if outcome.told.receipts:
        events.write("receipt", count=outcome.told.receipts)


def vehicle_of(pki: Path) -> Credential:
    """The provisioning certificate, which is the vehicle's in TLS too."""
    return read_credential(pki, "oemLeaf", "oemSubCA2", "oemSubCA1")


def contract_of(pki: Path) -> Credential:
    return read_credential(pki, "contractLeaf", "moSubCA2", "moSubCA1")


def read_credential(pki: Path, *names: str) -> Credential:
    """The chain of these names, leaf first, and the leaf's key."""
    folder = pki / "iso15118_2"
    chain = [(folder / "certs" / f"{name}Cert.der").read_bytes() for name in names]
    key = load_pem_private_key((folder / "private_keys" / f"{names[0]}.key").read_bytes(), PASSWORD.encode())
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = load_der_x509_certificate(chain[0]).subject
    return Credential(chain, key, str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value))
