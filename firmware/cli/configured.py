"""The configuration of a station whose daemon does not run, for commands that do its work."""

from __future__ import annotations

import sys
from pathlib import Path

from firmware.config import Config, ConfigError, load
from firmware.provisioning import daemon_runs


def stopped_station(file: Path) -> Config | None:
    """None, with the reason on stderr, when the file cannot be used or the daemon runs."""
    try:
        config = load(file)
    except ConfigError as error:
        print(f"evse: {error}", file=sys.stderr)
        return None
    if daemon_runs(config):
        print("evse: the daemon runs; stop it first", file=sys.stderr)
        return None
    return config
