"""Every command of `evse` against a running daemon, in a terminal of 80 x 24, and the page that shows them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from firmware.cli import COMMANDS
from firmware.control.methods import METHODS
from sim.manual import COLUMNS, Shot, action_of, page, paths, shots
from sim.site import Options, Site

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def taken(make_site: Callable[..., Site]) -> list[Shot]:
    return list(shots(make_site(Options(sampled_interval_s=1.0))))


def of(taken: list[Shot], line: str) -> list[Shot]:
    found = [shot for shot in taken if shot.line == f"evse {line}"]
    assert found, f"no shot of {line}"
    return found


def test_every_command_against_a_running_daemon(taken: list[Shot]) -> None:
    idle, charging, gone = of(taken, "status")
    assert [idle.exit_code, charging.exit_code, gone.exit_code] == [0, 0, 3]
    assert "state A, X1" in idle.screen
    assert "contactor closed, power permitted, plug locked" in charging.screen
    assert "no daemon at" in gone.screen
    assert idle.told["evses"][0]["transaction"]["open"] is False
    assert charging.told["evses"][0]["transaction"]["charging_state"] == "Charging"

    absent, maintained, charges, broken = of(taken, "why")
    assert [absent.exit_code, maintained.exit_code, charges.exit_code, broken.exit_code] == [1, 1, 0, 1]
    assert [shot.told["blockers"][0]["code"] for shot in (absent, maintained, broken)] == [
        "no_vehicle",
        "maintenance",
        "fault_CommunicationFault",
    ]
    assert charges.told["blockers"] == []
    assert [note["code"] for note in broken.told["notes"]] == ["csms_link"]

    (tested,) = of(taken, "selftest")
    assert tested.exit_code == 0
    assert {found["test"]: found["verdict"] for found in tested.told["results"]}["rcd"] == "passed"
    (moved,) = of(taken, "contactor test")
    assert (moved.exit_code, moved.told["verdict"]) == (0, "passed")
    (ramped,) = of(taken, "ramp 6 10 --step 4 --settle 3")
    assert [step["wanted_a"] for step in ramped.told["steps"]] == [6, 10]
    assert [step["offer_a"] for step in ramped.told["steps"]] == [6.0, 10.0]

    (top,) = of(taken, "top --count 2 --every 0.3")
    assert top.exit_code == 0
    assert len(top.screen.splitlines()) <= 24
    assert "state C" in top.screen

    (show,) = of(taken, "session show 1")
    told = [entry["event"] for entry in show.told["entries"]]
    story = ["PluggedIn", "SlacMatched", "LinkReady", "TlsEstablished", "SessionSetUp", "AuthorizationAnswered"]
    story += ["TransactionOpened", "ContactorChanged", "Unplugged"]
    assert [event for event in told if event in story][: len(story) - 1] == story[:-1]
    assert "Unplugged" in told
    assert show.told["energy_wh"] > 0
    (listed,) = of(taken, "session list")
    assert listed.told["sessions"][0]["transaction_ids"] == show.told["transaction_ids"]
    tested, captured = of(taken, "slac selftest 1")[0], of(taken, "slac capture slac.pcap --seconds 2")[0]
    assert (tested.exit_code, tested.told["verified_by"], captured.told["ended"]) == (0, "VS_NW_INFO", "time")
    (link,) = of(taken, "plc link")[0].told["links"]
    assert (link["link_up"], len(link["networks"][0]["stations"])) == (True, 1)
    assert of(taken, "slac last")[0].told["evses"][0]["runs"][0]["verdict"] == "matched"

    (faults,) = of(taken, "faults")
    assert faults.exit_code == 1
    assert [fault["fault"] for fault in faults.told["faults"]] == ["CommunicationFault"]
    (queue,) = of(taken, "ocpp queue")
    assert "NotifyEvent" in [message["action"] for message in queue.told["messages"]]

    (followed,) = of(taken, "events -f --since 1m --source board")
    assert followed.exit_code == 130
    assert {event["source"] for event in followed.told} == {"board"}
    assert [shot.exit_code for shot in of(taken, "certs list") + of(taken, "plc info") + of(taken, "logs audit")] == [
        0
    ] * 3
    audited = of(taken, "logs audit")[0].told
    assert audited["broken"] is None
    assert "Limit.Set" in [entry["method"] for entry in audited["latest"]]
    assert "complete -F _evse evse" in of(taken, "completion bash")[0].screen

    assert_tables_fit(taken)
    assert_page_is_true(taken)


def assert_tables_fit(taken: list[Shot]) -> None:
    free = ("events", "slac watch", "completion", "v2g")
    for shot in taken:
        if shot.exit_code != 3 and not action_of(shot).startswith(free):
            for line in shot.screen.splitlines():
                assert len(line) <= COLUMNS, (shot.line, line)


def assert_page_is_true(taken: list[Shot]) -> None:
    """The committed page shows every command and method, and every JSON field that was seen now."""
    committed = PAGE.read_text()
    for shot in taken:
        assert f"$ {shot.line}\n" in committed, f"docs/cli.md lacks {shot.line}: write it with `python -m sim.manual`"
    for command in COMMANDS:
        assert f"### evse {command}\n" in committed
    for method in METHODS:
        assert f"`{method}`" in committed
    for shot in taken:
        if shot.told is None or shot.words[0] == "top":
            continue
        section = committed.partition(f"JSON of `evse {action_of(shot)} --json`:\n")[2].partition("\n\n#")[0]
        for path, _ in paths(shot.told):
            assert not path or f"    {path}: " in section, f"docs/cli.md lacks {path} of {shot.line}"
    assert page(taken).count("\n### evse ") == committed.count("\n### evse ")
