"""A driver's display: the other end of a console. `with Panel() as panel` gives a terminal at `panel.path`."""

import os
import tty
from pathlib import Path
from typing import Self

from hal.console_display import CLEAR


class Panel:
    """A pseudo-terminal that keeps all that was written, and knows what stands on it now."""

    def __init__(self) -> None:
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.path = Path(os.ttyname(self._near))
        self._written = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        os.close(self._far)
        os.close(self._near)

    @property
    def written(self) -> str:
        """Everything since the beginning."""
        try:
            while octets := os.read(self._far, 65_536):
                self._written += octets
        except BlockingIOError:
            pass
        return self._written.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """What stands on it now."""
        return [line for line in self.written.rpartition(CLEAR)[2].split("\r\n") if line]

    def has_shown(self, text: str) -> bool:
        """Whether a screen held these words, whatever stands there now."""
        screens = (" ".join(screen.split("\r\n")) for screen in self.written.split(CLEAR))
        return any(text in screen for screen in screens)
