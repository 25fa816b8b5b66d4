"""Whatever comes over the line, nothing is raised, nothing grows, and the next vehicle matches."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from hal.plc import mme, vendor_mme
from hal.plc.frame import ETH_P_HPAV, MmeError, parse_header
from hal.plc.green_phy import GreenPhy
from hal.plc.timings import MAX_RUNS, Profile
from sim.plc.vehicle import EvSlac
from tests.hal.plc.plc_rig import EV_MAC, EVSE_MAC, Rig, mac

EVSE, EV = mac(EVSE_MAC, 1), mac(EV_MAC, 1)
MODEM = bytes.fromhex("00b052010001")

KNOWN = sorted(
    {0x6064, 0x606A, 0x6076, 0x6086, 0x606F, 0x6078, 0x607C, 0x601C, 0x6009, 0x600D}
    | {codec.mmtype for codec in vendor_mme._CODECS.values()}
)
ADDRESSES = st.sampled_from([EVSE, EV, MODEM, b"\xff" * 6])
MMTYPES = st.one_of(st.sampled_from(KNOWN), st.integers(0, 0xFFFF))
# Fields that mean something where they happen to fall: our addresses, a RunID, vendors' marks.
PAYLOADS = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from([EVSE, EV, bytes(8), b"\0\0", b"\x3a", b"\x00\xb0\x52", b"\x00\x16\xe8", b"\x3e\0"]),
    ),
    max_size=12,
).map(b"".join)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    head = draw(ADDRESSES) + draw(ADDRESSES) + ETH_P_HPAV.to_bytes(2, "big")
    version = draw(st.sampled_from([0, 1, 1, 1, 2, 9]))
    fmi = b"" if version == 0 else b"\0\0"
    return head + bytes((version,)) + draw(MMTYPES).to_bytes(2, "little") + fmi + draw(PAYLOADS)


@given(st.one_of(st.binary(max_size=1600), frames()))
@settings(max_examples=400, deadline=None)
def test_a_decoder_returns_a_message_or_a_named_fault(frame: bytes):
    for decode in (mme.decode, vendor_mme.decode):
        with suppress(MmeError):
            decoded = decode(frame)
            assert (decoded.destination, decoded.source) == (frame[:6], frame[6:12])
            assert parse_header(frame)


@given(frames())
@settings(max_examples=300, deadline=None)
def test_what_was_decoded_is_encoded_to_the_same_again(frame: bytes):
    for codec in (mme, vendor_mme):
        try:
            decoded = codec.decode(frame)
            again = codec.encode(decoded.destination, decoded.source, decoded.message)
        except MmeError:
            continue
        assert codec.decode(again).message == decoded.message


Steps = st.lists(
    st.one_of(
        frames(),
        st.floats(0.0, 30.0),
        st.sampled_from(["plug", "unplug", "terminate", "pause", "resume", "down", "up", "toggle"]),
    ),
    max_size=40,
)


@given(Steps, st.sampled_from(list(Profile)))
@settings(max_examples=150)
def test_no_conversation_kills_the_machine(steps: list[bytes | float | str], profile: Profile):
    rig = Rig(profile=profile)
    rig.boot()
    for step in steps:
        act(rig, step)
        assert_bounded(rig.station)
    revive(rig)
    rig.plug()
    assert rig.run(60, rig.is_linked), rig.facts


def act(rig: Rig, step: bytes | float | str) -> None:
    station, now = rig.station, rig.now
    match step:
        case bytes():
            station.feed(step, now)
        case float():
            rig.run(step)
        case "plug":
            station.vehicle_connected(True, now)
        case "unplug":
            station.vehicle_connected(False, now)
        case "terminate":
            station.terminate(now)
        case "pause":
            station.pause(now)
        case "resume":
            station.resume(now)
        case "down":
            station.interface_down(now)
        case "up":
            station.interface_up(now)
        case "toggle":
            station.pilot_toggled()
    rig.pump()


def assert_bounded(station: GreenPhy) -> None:
    assert len(station.matching._runs) <= MAX_RUNS
    assert len(station.matching.drops) < 40


def revive(rig: Rig) -> None:
    """Unplug, interface up, and time for the longest pause between two looks for a modem."""
    rig.unplug()
    rig.station.interface_up(rig.now)
    rig.pump()
    rig.run(70)
    rig.vehicles[0] = rig._host_of["ev1"] = EvSlac(EV, seed=1)
    rig._hosts[1] = (rig.ev_modems[0], rig.vehicles[0])
