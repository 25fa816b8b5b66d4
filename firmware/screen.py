"""What drivers are shown now: to the board's display, where there is one, and to technicians."""

from hal.ports import Display, DisplayMessage
from ocpp_client.ports import DisplayChanged


class Screen:
    def __init__(self, display: Display | None) -> None:
        self._display = display
        self._messages: tuple[DisplayMessage, ...] = ()

    def take(self, fact: DisplayChanged) -> None:
        self._messages = fact.messages
        if self._display is not None:
            self._display.show(fact.messages)

    def shown(self) -> list[dict[str, object]]:
        """For `evse status`: in the order of the turns."""
        return [{"text": one.text, "language": one.language or None, "evse": one.evse} for one in self._messages]
