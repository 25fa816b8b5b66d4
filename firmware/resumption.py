"""A transaction that a power cut left open and that waits for its vehicle. Works on the session's state; pure.

`ocpp_client/resumption.py` has decided that it waits, and for how long. While it does, it is the EVSE's transaction,
and no other can start.

| what comes while it waits                                              | the transaction                        |
|------------------------------------------------------------------------|----------------------------------------|
| a vehicle is plugged in; a card is to pay, or nobody was named yet     | goes on, by the kept token             |
| a vehicle is plugged in; a contract is to pay                          | waits for it, `CONTRACT_S` at least    |
| - it shows the same contract, and the CSMS accepts it                  | goes on                                |
| - it shows another, or the same one is refused                         | is given up                            |
| - it wants external payment, or does not talk at all, or leaves        | is given up                            |
| a vehicle is plugged in under a fault, or while reserved for others    | is given up                            |
| any other token, or before the vehicle any at all, is accepted         | is given up; that one begins anew      |
| the connector is empty, or the time is over                            | is given up                            |
| the CSMS refuses the token; stops it; resets; a master pass is shown   | is given up                            |
| a fault; a token that is refused; a link that is lost                  | waits on                               |

To give up is: Ended by PowerLoss, dated and metered by what was known before the cut.
"""

from collections.abc import Iterable
from dataclasses import replace

from firmware import effects
from firmware.effects import Effect
from firmware.record import Record
from firmware.state import Hlc, State, Waiting
from hal.ports import CpState
from ocpp_client.ports import ChargingState, IdToken, TransactionLeftOpen
from secc.ports import Authorization, PaymentOption

CONTRACT_S = 60.0
"""How long a vehicle that was plugged in has for SLAC, TLS and its contract, whatever was left of the time."""

EMPTY_S = 2.0
"""State A for so long, from the board's first word on, is an empty connector."""


class Resumption:
    def __init__(self, state: State, record: Record) -> None:
        self._state = state
        self._record = record

    def begin(self, left: TransactionLeftOpen) -> None:
        """The operator's side ends it by itself where another transaction was quicker."""
        state = self._state
        if state.transaction_open:
            return
        state.left_open = Waiting(left, self._record.now + left.for_s)
        state.transaction_open = True
        state.transaction_id = left.transaction_id
        state.charging_state = ChargingState(left.charging_state)

    def settle(self) -> Iterable[Effect]:
        """What follows from where the session stands, after every step."""
        state, waiting = self._state, self._state.left_open
        if waiting is None:
            return
        if self._record.now >= waiting.until_s or (waiting.came and not state.plugged):
            yield from self.give_up()
        elif state.plugged:
            yield from self._vehicle_here(waiting)

    def _vehicle_here(self, waiting: Waiting) -> Iterable[Effect]:
        state, left = self._state, waiting.left
        reserved = left.id_token is not None and not state.admits(left.id_token, left.group_id)
        if state.stopped or reserved:
            yield from self.give_up()
        elif left.id_token is None or left.id_token.kind != "eMAID":
            state.token = left.id_token
            state.group_id = left.group_id
            state.authorization = Authorization.ACCEPTED if left.id_token else Authorization.PENDING
            yield from self._resume(left)
        elif state.hlc is Hlc.NONE or state.payment is PaymentOption.EXTERNAL_PAYMENT:
            yield from self.give_up()
        elif not waiting.came:
            until_s = max(waiting.until_s, self._record.now + CONTRACT_S)
            state.left_open = replace(waiting, until_s=until_s, came=True)

    def shown(self, contract: IdToken) -> Iterable[Effect]:
        """A contract, before anybody is asked about it."""
        waiting = self._state.left_open
        if waiting is not None and contract != waiting.left.id_token:
            yield from self.give_up()

    def accepted(self, token: IdToken) -> Iterable[Effect]:
        waiting = self._state.left_open
        if waiting is None:
            return
        if waiting.came and token == waiting.left.id_token:
            yield from self._resume(waiting.left)
        else:
            yield from self.give_up()

    def refused(self, token: IdToken) -> Iterable[Effect]:
        waiting = self._state.left_open
        if waiting is not None and token == waiting.left.id_token:
            yield from self.give_up()

    def give_up(self) -> Iterable[Effect]:
        state = self._state
        if state.left_open is None:
            return
        state.left_open = None
        state.transaction_open = False
        state.transaction_id = ""
        state.charging_state = ChargingState.IDLE
        state.operative = state.operative_wanted
        yield effects.GiveUpTransaction()

    def _resume(self, left: TransactionLeftOpen) -> Iterable[Effect]:
        state = self._state
        state.left_open = None
        state.remote_start_id = left.remote_start_id
        yield effects.ResumeTransaction(self._record.resumed())


class EmptyConnector:
    """Tells when nobody has been at the connector for EMPTY_S."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def seen(self, cp: CpState, now: float) -> bool:
        if cp is not CpState.A:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now
        return now - self._since_s >= EMPTY_S
