"""Tariff and cost as the driver is told them, in the CSMS's words or the station's own (I01-I06). Pure.

The tariff (personalMessage of an idTokenInfo, or TariffFallbackMessage) is told to a driver who was just authorised and
while the transaction runs; beside it the cost so far, and at the end the total.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from decimal import Decimal

from hal.ports import DisplayMessage
from hal.quantities import EvseId
from ocpp_client.ports import IdToken
from ocpp_client.wire import Payload, text_at

GREETING_S = 30.0
"""How long a driver who has not begun to charge is shown the tariff."""
TOTAL_S = 60.0
"""How long the total stands after the end of a transaction."""
MAX_TOKENS = 32
"""Drivers who were authorised lately."""

_SO_FAR = {"de": "Kosten bisher", "en": "Cost so far", "es": "Coste actual", "fr": "Coût actuel", "it": "Costo attuale"}
_SO_FAR |= {"nl": "Kosten tot nu toe", "pl": "Koszt do tej pory", "pt": "Custo atual", "sv": "Kostnad hittills"}
_TOTAL = {"de": "Gesamtkosten", "en": "Total cost", "es": "Coste total", "fr": "Coût total", "it": "Costo totale"}
_TOTAL |= {"nl": "Totale kosten", "pl": "Koszt całkowity", "pt": "Custo total", "sv": "Total kostnad"}
LANGUAGES = tuple(sorted(_TOTAL))


@dataclass(frozen=True, slots=True)
class TariffRules:
    """TariffCostCtrlr, as set now."""

    tariff: bool
    cost: bool
    currency: str
    tariff_fallback: str
    total_fallback: str


@dataclass(frozen=True, slots=True)
class _Account:
    """What a driver has been told. `until_s` (monotonic) is None while the transaction runs."""

    language: str = ""
    tariff: str = ""
    amount: Decimal | None = None
    total: str = ""
    until_s: float | None = None


class Costs:
    """`now` is monotonic time."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[tuple[str, str], _Account] = OrderedDict()
        self._greeting: _Account | None = None
        self._accounts: dict[str, _Account] = {}
        self._evses: dict[str, EvseId] = {}

    # --- Who the driver is ---

    def authorized(self, token: IdToken, info: object, now: float) -> None:
        """An accepted token's IdTokenInfoType, from wherever."""
        account = _account(info)
        self._tokens[_key(token)] = account
        self._tokens.move_to_end(_key(token))
        while len(self._tokens) > MAX_TOKENS:
            self._tokens.popitem(last=False)
        self._greeting = replace(account, until_s=now + GREETING_S)

    def began(self, evse: EvseId, transaction_id: str, token: IdToken | None) -> None:
        """A transaction, or its token, is there."""
        self._evses[transaction_id] = evse
        known = self._tokens.get(_key(token), _Account()) if token is not None else _Account()
        before = self._accounts.get(transaction_id, known)
        self._accounts[transaction_id] = replace(
            before, language=before.language or known.language, tariff=before.tariff or known.tariff
        )
        if token is not None:
            self._greeting = None
        for other, of_evse in list(self._evses.items()):
            if of_evse == evse and other != transaction_id:
                self._forget(other)  # The next driver's: the last one's total is no longer shown.

    # --- What the CSMS says ---

    def updated(self, transaction_id: str, total_cost: float) -> None:
        """CostUpdated, or totalCost in the answer to an event that is not the last (I02)."""
        account = self._accounts.get(transaction_id)
        if account is not None and account.until_s is None:
            self._accounts[transaction_id] = replace(account, amount=_decimal(total_cost))

    def answered(self, transaction_id: str, response: Payload, *, ended: bool, now: float, currency: str) -> None:
        """A TransactionEventResponse (I02, I03, I06)."""
        account = self._accounts.get(transaction_id)
        if account is None:
            return
        info = response.get("idTokenInfo")
        if text_at(info, "personalMessage", "content"):
            account = replace(account, tariff=_account(info).tariff)
        tariff = text_at(response, "updatedPersonalMessage", "content") or account.tariff
        self._accounts[transaction_id] = account = replace(account, tariff=tariff)
        cost = response.get("totalCost")
        if not isinstance(cost, int | float) or isinstance(cost, bool):
            return
        if ended:
            total = f"{_TOTAL[_spoken(account.language)]}: {_money(_decimal(cost), currency)}"
            self._accounts[transaction_id] = replace(account, total=total, until_s=now + TOTAL_S)
        else:
            self.updated(transaction_id, cost)

    def ended(self, transaction_id: str, now: float, fallback: str) -> None:
        """The transaction is over; `fallback` is said while the CSMS has not told the total (I05)."""
        account = self._accounts.get(transaction_id)
        if account is not None:
            self._accounts[transaction_id] = replace(account, total=fallback, until_s=now + TOTAL_S)

    # --- What is shown ---

    def shown(self, now: float, rules: TariffRules) -> list[DisplayMessage]:
        self._expire(now)
        told: list[DisplayMessage] = []
        if self._greeting is not None and rules.tariff:
            told += _told(self._greeting.tariff or rules.tariff_fallback, self._greeting.language, None)
        for transaction_id, account in self._accounts.items():
            evse = self._evses[transaction_id]
            if rules.tariff and account.until_s is None:
                told += _told(account.tariff or rules.tariff_fallback, account.language, evse)
            if rules.cost:
                told += _told(account.total or _so_far(account, rules.currency), account.language, evse)
        return told

    def next_change(self) -> float | None:
        accounts = [*self._accounts.values(), *([self._greeting] if self._greeting else [])]
        return min((one.until_s for one in accounts if one.until_s is not None), default=None)

    def _expire(self, now: float) -> None:
        if self._greeting is not None and _is_over(self._greeting, now):
            self._greeting = None
        for transaction_id in [name for name, account in self._accounts.items() if _is_over(account, now)]:
            self._forget(transaction_id)

    def _forget(self, transaction_id: str) -> None:
        del self._accounts[transaction_id], self._evses[transaction_id]


def _account(info: object) -> _Account:
    return _Account(text_at(info, "language1") or "", text_at(info, "personalMessage", "content") or "")


def _is_over(account: _Account, now: float) -> bool:
    return account.until_s is not None and account.until_s <= now


def _so_far(account: _Account, currency: str) -> str:
    if account.amount is None:
        return ""
    return f"{_SO_FAR[_spoken(account.language)]}: {_money(account.amount, currency)}"


def _spoken(language: str) -> str:
    """The language of ours for a tag of RFC 5646."""
    primary = language.lower().partition("-")[0]
    return primary if primary in _TOTAL else "en"


def _decimal(cost: float) -> Decimal:
    return Decimal(str(cost)).quantize(Decimal("0.01"))


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount} {currency}".rstrip()


def _told(text: str, language: str, evse: EvseId | None) -> list[DisplayMessage]:
    return [DisplayMessage(text, language, evse)] if text else []


def _key(token: IdToken) -> tuple[str, str]:
    return token.id_token.lower(), token.kind
