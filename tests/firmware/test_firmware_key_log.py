"""TLS secrets for a technician: on the EVSE's loop, in a file of the daemon's user, and only for a while."""

import stat
from concurrent.futures import Future
from pathlib import Path

import pytest

from firmware.vehicle_tls import VehicleTls
from secc.ports import TlsUnavailable


class Context:
    def __init__(self) -> None:
        self.logged: list[tuple[Path, float]] = []

    def log_keys(self, file: Path, duration_s: float) -> None:
        self.logged.append((file, duration_s))


def at_once(work: object) -> "Future[None]":
    done: Future[None] = Future()
    try:
        work.send(None)  # type: ignore[attr-defined]
    except StopIteration:
        done.set_result(None)
    except (TlsUnavailable, OSError) as error:
        done.set_exception(error)
    return done


def test_the_file_is_the_daemons_alone(tmp_path: Path) -> None:
    tls, context = VehicleTls(at_once), Context()
    tls._context = context  # type: ignore[assignment]
    file = tmp_path / "keys.log"
    tls.log_keys(file, 5.0)
    assert context.logged == [(file, 5.0)]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_a_certificate_there_is_nothing_to_log(tmp_path: Path) -> None:
    with pytest.raises(TlsUnavailable):
        VehicleTls(at_once).log_keys(tmp_path / "keys.log", 5.0)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    tls = VehicleTls(at_once)
    tls._context = Context()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No such file"):
        tls.log_keys(tmp_path / "none" / "keys.log", 5.0)
