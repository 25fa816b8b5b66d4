"""Certificates rotated by the CSMS (A02, A03) in a daemon that is killed at every lasting step of it."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certs.keystore import Purpose
from sim.namespaces import missing_right
from sim.site import Options
from tests.e2e.test_e2e_certificates import CertificateSite

ASKED = (
    "begin create",
    "begin fsync pending/.{0}.json.new",
    "begin replace pending/.{0}.json.new",
    "begin fsync certs/pending",
    "accept fsync pending/.{0}.json.new",
    "accept replace pending/.{0}.json.new",
    "accept fsync certs/pending",
)
SWAPPED = (
    "activate fsync chains/.{0}.json.new",
    "activate replace chains/.{0}.json.new",
    "activate fsync certs/chains",
    "retire unlink pending/{0}.json",
    "retire evict",
)


class KilledSite(CertificateSite):
    @property
    def died_at(self) -> Path:
        return self.directory / "died-at"

    def start_daemon(self) -> None:
        before = len(self.log_of("evsed"))
        self._start("evsed", "station", ["tests.e2e.e2e_killed_daemon", self._path("evsed.toml"), str(self.died_at)])
        self.wait_for(lambda: "is ready" in self.log_of("evsed")[before:], "evsed to be ready", 20)

    def is_dead(self) -> bool:
        return self._processes["evsed"].poll() is not None

    def until(self, condition: Callable[[], bool]) -> bool:
        """Until it is true or the daemon dead; whether it lives."""
        deadline = time.monotonic() + 20
        while not self.is_dead() and not condition():
            assert time.monotonic() < deadline, self.log_of("evsed")[-2000:]
            time.sleep(0.05)
        return not self.is_dead()

    def comes_up_again(self) -> None:
        """With a certificate the CSMS takes, and no key but those in use and the one that waits for its certificate."""
        assert self.kill("evsed") == -signal.SIGKILL, self.log_of("evsed")[-2000:]
        boots = len(self.calls("BootNotification"))
        self.start_daemon()
        self.wait_for(lambda: len(self.calls("BootNotification")) > boots, "the station at its CSMS", 20)
        waiting = [pending.key_id for purpose in Purpose if (pending := self.store.pending(purpose)) is not None]
        in_use = [self.key_in_use(purpose) for purpose in (Purpose.CSMS, Purpose.SECC)]
        assert sorted(self.handles()) == sorted({*in_use, *waiting})

    def rotate(self, message: str, purpose: Purpose) -> int:
        """Until one comes through, dying at every step on the way; how often."""
        for deaths in range(20):
            old = self.key_in_use(purpose)
            # It may be dead before it has answered.
            self.command_csms({"call": "TriggerMessage", "payload": {"requestedMessage": message}})
            if self.until(lambda old=old: self.key_in_use(purpose) != old and len(self.handles()) == 2):  # type: ignore[misc]
                return deaths
            self.comes_up_again()
        raise AssertionError(self.died_at.read_text())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KilledSite]:
    if right := missing_right():
        pytest.skip(right)
    with KilledSite(tmp_path, Options(sampled_interval_s=1.0)) as made:
        made.run_all()
        yield made


@pytest.mark.timeout(240)
def test_the_daemon_killed_at_every_step_of_its_rotations(site: KilledSite) -> None:
    """All steps of the CSMS's certificate; of the vehicles' those that are not the directory's or the TPM's again."""
    steps = [*ASKED, *SWAPPED]
    assert site.rotate("SignChargingStationCertificate", Purpose.CSMS) == len(steps)
    own = [step for step in steps if "{0}" in step]
    assert site.rotate("SignV2GCertificate", Purpose.SECC) == len(own)
    died_at = site.died_at.read_text().splitlines()
    assert died_at == [step.format("csms") for step in steps] + [step.format("secc") for step in own]
    site.charge()
