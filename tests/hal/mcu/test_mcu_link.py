"""The host's end of the link in virtual time, against a board played by hand."""

from dataclasses import replace

import pytest

from hal.mcu.frames import Frame
from hal.mcu.link import BoardLog, LinkDown, LinkEvent, LinkUp, McuLink
from hal.mcu.payloads import (
    Ack,
    BoardFlag,
    Command,
    Control,
    ControlFlag,
    Hello,
    HelloAck,
    Log,
    Payload,
    State,
    StateFlag,
    Telemetry,
    Token,
    TokenKind,
    WireContactor,
    WireCp,
    WireCpMode,
)
from hal.mcu.reader import FrameReader

SAFE = Control(WireCpMode.X1, 10000, ControlFlag(0), 0, 3, 0, 1000, 0)
POWER = replace(SAFE, cp_mode=WireCpMode.X2, duty_centi=2666, flags=ControlFlag.ALLOW_POWER)
BOARD = HelloAck(0, 77, 320, 60, 2300, 3, BoardFlag.LOCK, "rig", "1.0")
REST = State(WireCp.A, WireCpMode.X1, 0, StateFlag.ARMED, WireContactor.OPEN, 32, 0, 1200, 0, 0, 0, 10, uptime_ms=5000)
METER = Telemetry(1000, 0, (0, 0, 0), (2300, 2300, 2300), 250, 250, 0)


class Talk:
    """What the host says is read back as payloads; what the board says is fed as bytes."""

    def __init__(self) -> None:
        self.alive = True
        self.link = McuLink(evse=1, nonce=41, alive=lambda: self.alive)
        self.now = 10.0
        self.uptime_ms = 5000
        self.events: list[LinkEvent] = []
        self._reader = FrameReader()

    def said(self) -> list[Payload]:
        return [frame.payload for frame in self._reader.feed(self.link.data_to_send())]

    def board(self, *payloads: Payload, evse: int = 1) -> list[LinkEvent]:
        wire = b"".join(Frame(0, evse, payload).to_wire() for payload in payloads)
        events = self.link.feed(wire, self.now)
        self.events += events
        return events

    def state(self, **changes: object) -> list[LinkEvent]:
        return self.board(replace(REST, uptime_ms=self.uptime_ms, **changes))  # type: ignore[arg-type]

    def wait(self, seconds: float, stating: bool = True) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            due = self.link.deadline()
            assert due is not None
            step = min(max(due, self.now), end)
            self.uptime_ms += round((step - self.now) * 1000)
            self.now = step
            self.events += self.link.tick(self.now)
            if stating:
                self.state()

    def come_up(self) -> "Talk":
        self.link.control(SAFE, self.now)
        self.link.connected(self.now)
        hello = self.said()[-1]
        assert isinstance(hello, Hello)
        self.board(replace(BOARD, nonce=hello.nonce))
        assert self.said() == [SAFE]
        self.state()
        return self


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_nothing_but_hello_until_the_board_has_answered(talk: Talk) -> None:
    talk.link.control(POWER, talk.now)
    talk.link.connected(talk.now)
    talk.wait(1.0)
    said = talk.said()
    assert {type(payload) for payload in said} == {Hello}
    assert len(said) in (5, 6)
    assert talk.events == []
    assert "no answer to HELLO" in talk.link.describe()


def test_up_with_the_first_state_after_the_first_control(talk: Talk) -> None:
    talk.come_up()
    assert talk.events == [LinkUp(replace(BOARD, nonce=42), same_boot=False), replace(REST, uptime_ms=5000)]
    assert talk.link.is_up


def test_an_answer_to_somebody_elses_hello_is_ignored(talk: Talk) -> None:
    talk.link.connected(talk.now)
    talk.board(replace(BOARD, nonce=999))
    talk.state()
    assert not talk.link.is_up
    assert talk.link.ignored == {"HelloAck": 1, "State": 1}


def test_a_late_answer_to_a_repeated_hello_still_counts(talk: Talk) -> None:
    talk.link.control(SAFE, talk.now)
    talk.link.connected(talk.now)
    first = talk.said()[0]
    assert isinstance(first, Hello)
    talk.wait(0.5)
    talk.board(replace(BOARD, nonce=first.nonce))
    talk.state()
    assert talk.link.is_up


def test_control_every_100_ms_and_at_once_on_a_change(talk: Talk) -> None:
    talk.come_up()
    talk.wait(1.0)
    assert talk.said().count(SAFE) in (9, 10)
    talk.link.control(POWER, talk.now)
    assert talk.said() == [POWER]
    talk.link.control(POWER, talk.now)
    assert talk.said() == []
    talk.wait(0.1)
    assert talk.said() == [POWER]


def test_a_loop_that_is_not_alive_sends_no_heartbeat_not_even_a_change(talk: Talk) -> None:
    talk.come_up()
    talk.alive = False
    talk.wait(1.0)
    talk.link.control(POWER, talk.now)
    assert talk.said() == []
    talk.alive = True
    talk.wait(0.1)
    assert talk.said() == [POWER]


def test_a_silent_board_is_lost_after_half_a_second_and_greeted_again(talk: Talk) -> None:
    talk.come_up()
    talk.wait(0.49, stating=False)
    assert talk.link.is_up
    talk.said()
    talk.wait(0.02, stating=False)
    assert talk.events[-1] == LinkDown("no STATE for 0.5 s")
    assert type(talk.said()[-1]) is Hello


def test_the_same_board_again_is_known_another_boot_is_not(talk: Talk) -> None:
    talk.come_up()
    talk.wait(1.0, stating=False)
    talk.link.connected(talk.now)
    hello = talk.said()[-1]
    assert isinstance(hello, Hello)
    talk.board(replace(BOARD, nonce=hello.nonce))
    assert talk.state()[0] == LinkUp(replace(BOARD, nonce=hello.nonce), same_boot=True)
    talk.link.connected(talk.now)
    hello = talk.said()[-1]
    assert isinstance(hello, Hello)
    talk.board(replace(BOARD, nonce=hello.nonce, boot_id=78))
    assert talk.state()[0] == LinkUp(replace(BOARD, nonce=hello.nonce, boot_id=78), same_boot=False)


def test_a_board_that_restarts_is_noticed_by_its_uptime(talk: Talk) -> None:
    talk.come_up()
    talk.said()
    talk.uptime_ms = 20
    assert talk.state() == [LinkDown("the board has restarted")]
    assert [type(payload) for payload in talk.said()] == [Hello]


def test_the_uptime_may_wrap(talk: Talk) -> None:
    talk.come_up()
    talk.uptime_ms = (1 << 32) - 10
    talk.state()
    talk.uptime_ms = 90
    assert talk.state() == [replace(REST, uptime_ms=90)]


def test_a_trip_of_the_last_conversation_is_over_before_the_link_is_up(talk: Talk) -> None:
    talk.link.control(SAFE, talk.now)
    talk.link.connected(talk.now)
    hello = talk.said()[-1]
    assert isinstance(hello, Hello)
    talk.board(replace(BOARD, nonce=hello.nonce))
    assert talk.state(flags=StateFlag.TRIPPED) == []
    assert not talk.link.is_up
    talk.state()
    assert talk.link.is_up


def test_a_closed_line_is_reported_once_and_waits_for_nothing(talk: Talk) -> None:
    talk.come_up()
    assert talk.link.disconnected("unplugged") == [LinkDown("unplugged")]
    assert talk.link.disconnected("unplugged") == []
    assert talk.link.deadline() is None


def test_a_swipe_is_told_once_and_acknowledged_at_once(talk: Talk) -> None:
    talk.come_up()
    token = Token(3, TokenKind.ISO14443, b"\x04\xa2\xb3\xc4")
    assert talk.board(token) == [token]
    assert talk.said() == [replace(SAFE, token_seen=3)]
    assert talk.board(token, token) == []
    again = replace(token, number=4)
    assert talk.board(again) == [again]


def test_a_swipe_before_the_link_is_up_waits_for_its_repetition(talk: Talk) -> None:
    token = Token(3, TokenKind.ISO14443, b"\x04\xa2\xb3\xc4")
    talk.link.connected(talk.now)
    assert talk.board(token) == []


def test_telemetry_log_and_ack_pass(talk: Talk) -> None:
    talk.come_up()
    assert talk.board(METER) == [METER]
    assert talk.board(Log(4, "relay hot")) == [BoardLog(4, "relay hot")]
    seq = talk.link.command(1)
    assert talk.said() == [Command(1, 0)]
    assert talk.board(Ack(seq, 0)) == [Ack(seq, 0)]


def test_what_is_for_another_evse_or_from_a_host_is_counted_and_left(talk: Talk) -> None:
    talk.come_up()
    assert talk.board(METER, evse=2) == []
    assert talk.board(Hello(1)) == []
    assert talk.link.ignored == {"other evse": 1, "Hello": 1}


def test_noise_is_counted_and_named(talk: Talk) -> None:
    talk.link.connected(talk.now)
    talk.link.feed(b"\x05\x01\x02\0", talk.now)
    assert "BAD_COBS 1" in talk.link.describe()
