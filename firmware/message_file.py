"""Every V2G message as a JSON line, certificates and identities redacted. A full disk loses lines, never a session."""

import json
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from firmware.config import Config
from hal.quantities import EvseId
from secc.connection import Passing
from secc.v2g.tracing import readable

log = logging.getLogger(__name__)


class MessageFile:
    """Written to from the loops of all EVSEs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lost = 0
        self._lock = Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def write(self, evse: EvseId, passing: Passing) -> None:
        line = {
            "wall_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "evse": evse,
            "v2g_session_id": passing.session_id,
            "from": "vehicle" if passing.from_vehicle else "station",
            **readable(passing.frame, passing.protocol),
        }
        try:
            with self._lock:
                self._file.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            self._lost += 1
            if self._lost == 1:
                log.warning("%s: V2G messages are lost: %s", self._path, error)

    def close(self) -> None:
        self._file.close()


def message_file(config: Config, stack: AsyncExitStack) -> MessageFile | None:
    """Where the configuration wants one. A file that cannot be written is no reason not to charge."""
    if config.log.v2g is None:
        return None
    try:
        file = MessageFile(config.log.v2g)
    except OSError as error:
        log.error("V2G messages cannot be written: %s", error)
        return None
    stack.callback(file.close)
    return file
