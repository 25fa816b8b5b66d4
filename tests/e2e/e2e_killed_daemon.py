"""The daemon, which kills itself (SIGKILL) before the first lasting step of a rotation that it has not died at before.

Arguments: configuration, and the file of the steps it has died at, one a line.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from certs import rotation
from certs.tpm import Tpm
from firmware.app import main


def arm(died_at: Path) -> None:
    """Every step that lasts: a TPM key made or destroyed, a file synced, renamed or removed."""
    seen = set(died_at.read_text().splitlines()) if died_at.exists() else set()

    def dangerous(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            stage = _stage()
            label = f"{stage} {function.__name__} {_of(arguments[0])}".strip()
            if stage and label not in seen:
                with died_at.open("a") as file:
                    file.write(label + "\n")
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return step

    Tpm.create, Tpm.evict = dangerous(Tpm.create), dangerous(Tpm.evict)  # type: ignore[method-assign]
    os.fsync = dangerous(os.fsync)
    Path.replace, Path.unlink = dangerous(Path.replace), dangerous(Path.unlink)  # type: ignore[method-assign]


def _stage() -> str:
    """The rotation's step that is under way, as in `accept`; empty outside of one, as at the daemon's start."""
    frame = sys._getframe(2) if threading.current_thread().name.startswith("certificates") else None
    while frame is not None:
        if frame.f_code.co_filename == rotation.__file__:
            return frame.f_code.co_name
        frame = frame.f_back
    return ""


def _of(subject: object) -> str:
    path = Path(f"/proc/self/fd/{subject}").readlink() if isinstance(subject, int) else subject
    return "/".join(path.parts[-2:]) if isinstance(path, Path) else ""


if __name__ == "__main__":
    arm(Path(sys.argv[2]))
    sys.exit(main(sys.argv[1:2]))
