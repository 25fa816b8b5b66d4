"""Log levels changed while the daemon runs, for a while or until it ends."""

import asyncio
import logging

from firmware.control.rpc import Code, RpcError

OURS = ("evsed", "evse", "firmware", "hal", "secc", "ocpp_client", "certs")
"""Loggers of the libraries stay as they are: at DEBUG some write passwords and keys."""

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class LogLevels:
    """On the main loop. The level a logger had before the first change is what it goes back to."""

    def __init__(self) -> None:
        self._changed: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def shown(self) -> dict[str, str]:
        """The level of each package, and of each logger that has one of its own."""
        own = [name for name in logging.root.manager.loggerDict if _is_ours(name) and logging.getLogger(name).level]
        return {name: _level(name) for name in sorted({*OURS, *own})}

    def set(self, name: str, level: str, for_s: int) -> None:
        """`for_s` 0: until the daemon ends. Raises RpcError."""
        if not _is_ours(name):
            raise RpcError(
                Code.INVALID_PARAMS, f"{name[:40]!r} is no logger of evsed: they begin with {', '.join(OURS)}"
            )
        if name not in OURS and name not in logging.root.manager.loggerDict:
            raise RpcError(Code.NOT_FOUND, f"there is no logger {name[:40]!r}; see Log.Levels")
        logger = logging.getLogger(name)
        before = self._changed.setdefault(name, logger.level)
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        logger.setLevel(level)
        if for_s:
            self._timers[name] = asyncio.get_running_loop().call_later(for_s, self._restore, name, before)

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for name, level in self._changed.items():
            logging.getLogger(name).setLevel(level)

    def _restore(self, name: str, level: int) -> None:
        self._timers.pop(name, None)
        logging.getLogger(name).setLevel(level)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in OURS


def _level(name: str) -> str:
    return logging.getLevelName(logging.getLogger(name).getEffectiveLevel())
