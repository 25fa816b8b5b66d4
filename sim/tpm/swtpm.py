"""swtpm in a directory of its own, which never outlives the process that started it.

A shell stands between: it waits on a pipe from us, and when that closes, because we stop or because we were killed, it
ends swtpm.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from cryptography import x509

START_TIMEOUT_S = 5.0
MAKER_FILES = {"signingkey": "signkey.pem", "issuercert": "issuercert.pem", "certserial": "certserial"}
KEEPER = '"$@" & swtpm=$!; read _; kill $swtpm 2>/dev/null; wait $swtpm'


class SwtpmMissing(Exception):
    """swtpm is not installed, or did not start; the text is its own."""


class Swtpm:
    """The TPM in `directory/state`. Stopping keeps the state, as switching a board off does; `wipe` forgets it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.socket = directory / "swtpm.sock"
        self.control = directory / "swtpm.sock.ctrl"
        self._pid_file = directory / "swtpm.pid"
        self._errors = directory / "swtpm.err"
        self._keeper: subprocess.Popen[bytes] | None = None

    @staticmethod
    def available() -> bool:
        return shutil.which("swtpm") is not None

    @property
    def tcti(self) -> str:
        """For one client: swtpm serves no second one before the first has gone."""
        return f"swtpm:path={self.socket}"

    def manufacture(self) -> x509.Certificate:
        """Make its endorsement keys and their certificates, as a chip's maker does; before the first start.

        Returns the maker's certificate, which signed them. Raises SwtpmMissing.
        """
        authority = self.directory / "maker"
        authority.mkdir()
        self.state.mkdir(parents=True, exist_ok=True)
        options = {name: authority / file for name, file in MAKER_FILES.items()}
        settings = "".join(f"{name} = {file}\n" for name, file in options.items())
        (authority / "localca.conf").write_text(f"statedir = {authority}\n{settings}")
        (authority / "localca.options").write_text(
            "--platform-manufacturer evsed\n--platform-version 1\n--platform-model sim\n"
        )
        (authority / "setup.conf").write_text(
            f"create_certs_tool = {shutil.which('swtpm_localca')}\n"
            f"create_certs_tool_config = {authority / 'localca.conf'}\n"
            f"create_certs_tool_options = {authority / 'localca.options'}\n"
        )
        command = ["swtpm_setup", "--tpm2", "--tpmstate", str(self.state), "--create-ek-cert", "--ecc"]
        command += ["--config", str(authority / "setup.conf")]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise SwtpmMissing(f"swtpm_setup: {made.stdout}{made.stderr}")
        return x509.load_pem_x509_certificate((authority / MAKER_FILES["issuercert"]).read_bytes())

    def start(self) -> None:
        """Power on. Raises SwtpmMissing."""
        program = shutil.which("swtpm")
        if program is None:
            raise SwtpmMissing("swtpm is not installed")
        self.state.mkdir(parents=True, exist_ok=True)
        for left_over in (self.socket, self.control, self._pid_file):
            left_over.unlink(missing_ok=True)
        command = [program, "socket", "--tpm2", "--tpmstate", f"dir={self.state}"]
        command += ["--server", f"type=unixio,path={self.socket}", "--ctrl", f"type=unixio,path={self.control}"]
        command += ["--flags", "not-need-init,startup-clear", "--pid", f"file={self._pid_file}"]
        with self._errors.open("wb") as errors:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "swtpm", *command],
                stdin=subprocess.PIPE,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        try:
            self._wait(lambda: self.control.exists() and self.pid is not None)
        except SwtpmMissing:
            self._dismiss_keeper()
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Power off; SIGKILL is a hard power cut."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            self._wait(lambda: not _alive(pid))
        self._dismiss_keeper()
        self._pid_file.unlink(missing_ok=True)

    def _dismiss_keeper(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None and keeper.stdin is not None:
            keeper.stdin.close()
            keeper.wait(START_TIMEOUT_S)

    def power_cut(self) -> None:
        """Off without a word and on again."""
        self.stop(signal.SIGKILL)
        self.start()

    def wipe(self) -> None:
        """Stop and forget every key, as a board swap or a clear would."""
        self.stop()
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def pid(self) -> int | None:
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _wait(self, ready: Callable[[], object]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if time.monotonic() > deadline:
                said = self._errors.read_text(errors="replace").strip() if self._errors.exists() else ""
                raise SwtpmMissing(f"swtpm in {self.directory} did not come up or go down: {said or 'it says nothing'}")
            time.sleep(0.005)

    def __enter__(self) -> "Swtpm":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its new parent to notice does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
