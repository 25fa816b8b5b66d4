"""Who may charge when the CSMS cannot be asked: local list, authorization cache, offline rules. Pure.

    online                 -> the CSMS's word, kept in the cache (C10); with LocalPreAuthorize a known Accepted is
                              enough (C12, C14), and with DisablePostAuthorize any known word
    offline, known token   -> that word, where LocalAuthorizeOffline allows (C13)
    offline, unknown token -> accepted where OfflineTxForUnknownIdEnabled allows (C15), else no word

A token is known by the local list, else by the cache. Of a contract they have a say only where
ContractValidationOffline allows (C07.FR.09); its chain was verified by the station before.
"""

import json
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ocpp_client.local_list import LocalList, key_of
from ocpp_client.ports import AuthorizationStatus, AuthorizeAnswer, IdToken
from ocpp_client.wire import Payload, format_time, parse_time, text_at

MAX_ENTRIES = 500


@dataclass(frozen=True, slots=True)
class OfflineRules:
    """AuthCtrlr, AuthCacheCtrlr, LocalAuthListCtrlr and ISO15118Ctrlr, as set now."""

    cache_enabled: bool
    cache_lifetime_s: float
    authorize_offline: bool
    pre_authorize: bool
    post_authorize: bool
    """Whether the CSMS is asked again about a token the cache knows as not accepted."""
    unknown_offline: bool
    contract_offline: bool
    list_enabled: bool = False
    list_post_authorize: bool = True
    """The same for a token the local list knows as not accepted."""


@dataclass(frozen=True, slots=True)
class CachedToken:
    status: AuthorizationStatus
    expires_at: datetime
    group_id: str | None
    evse_ids: tuple[int, ...] = ()
    """Where alone it is valid; empty for the whole station."""


def status_of(text: str | None) -> AuthorizationStatus:
    """A status we do not know is no permission."""
    try:
        return AuthorizationStatus(text or "")
    except ValueError:
        return AuthorizationStatus.INVALID


def evses_of(info: object) -> tuple[int, ...]:
    """IdTokenInfoType.evseId, read tolerantly: the EVSEs for which alone a token is valid, or none for all."""
    given = info.get("evseId") if isinstance(info, dict) else None
    return tuple(one for one in given if isinstance(one, int)) if isinstance(given, list) else ()


class AuthorizationCache:
    """Least recently used tokens make room."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[tuple[str, str], CachedToken] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def learn(self, token: IdToken, info: object, now: datetime, rules: OfflineRules) -> None:
        """An IdTokenInfoType from any response; without a status it says nothing."""
        text = text_at(info, "status")
        if text is None or not rules.cache_enabled:
            return
        expires_at = now + timedelta(seconds=rules.cache_lifetime_s)
        # Without an expiry, or with one that cannot be read, the station's own lifetime holds.
        with suppress(ValueError):
            expires_at = min(expires_at, parse_time(text_at(info, "cacheExpiryDateTime") or ""))
        entry = CachedToken(status_of(text), expires_at, text_at(info, "groupIdToken", "idToken"), evses_of(info))
        self._tokens[_key(token)] = entry
        self._tokens.move_to_end(_key(token))
        while len(self._tokens) > MAX_ENTRIES:
            self._tokens.popitem(last=False)

    def find(self, token: IdToken, now: datetime) -> CachedToken | None:
        entry = self._tokens.get(_key(token))
        if entry is None:
            return None
        if now >= entry.expires_at:
            del self._tokens[_key(token)]
            return None
        self._tokens.move_to_end(_key(token))
        return entry

    def clear(self) -> None:
        self._tokens.clear()

    def forget(self, token: IdToken) -> bool:
        """Whether there was anything to forget."""
        return self._tokens.pop(_key(token), None) is not None

    def dump(self) -> str:
        return json.dumps(
            [
                [*key, entry.status.value, format_time(entry.expires_at), entry.group_id, list(entry.evse_ids)]
                for key, entry in self._tokens.items()
            ]
        )

    def restore(self, text: str) -> None:
        for name, kind, status, expires_at, group_id, *evses in json.loads(text)[-MAX_ENTRIES:]:
            evse_ids = tuple(evses[0]) if evses else ()
            self._tokens[(name, kind)] = CachedToken(status_of(status), parse_time(expires_at), group_id, evse_ids)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the station knows of a token, and whether the CSMS is asked about one that is not accepted."""

    status: AuthorizationStatus
    group_id: str | None
    evse_ids: tuple[int, ...]
    post_authorize: bool


def at_evse(answer: AuthorizeAnswer, evse_id: int) -> AuthorizeAnswer:
    """The answer as it holds at one EVSE: an accepted token may be valid at others alone."""
    if answer.status is AuthorizationStatus.ACCEPTED and answer.evse_ids and evse_id not in answer.evse_ids:
        return replace(answer, status=AuthorizationStatus.NOT_ALLOWED_TYPE_EVSE)
    return answer


class Authorizer:
    def __init__(self) -> None:
        self.cache = AuthorizationCache()
        self.list = LocalList()

    def before_asking(self, token: IdToken, now: datetime, rules: OfflineRules) -> AuthorizeAnswer | None:
        """An answer that makes asking the CSMS needless."""
        if token.kind == "NoAuthorization":
            return AuthorizeAnswer(AuthorizationStatus.ACCEPTED)
        known = self._known(token, now, rules) if rules.pre_authorize else None
        if known is None or token.kind == "eMAID":
            return None
        if known.status is not AuthorizationStatus.ACCEPTED and known.post_authorize:
            return None
        return AuthorizeAnswer(known.status, group_id=known.group_id, evse_ids=known.evse_ids)

    def _known(self, token: IdToken, now: datetime, rules: OfflineRules) -> _Known | None:
        info = self.list.find(token, now) if rules.list_enabled else None
        if info is not None:
            group_id = text_at(info, "groupIdToken", "idToken")
            return _Known(status_of(text_at(info, "status")), group_id, evses_of(info), rules.list_post_authorize)
        entry = self.cache.find(token, now) if rules.cache_enabled else None
        return None if entry is None else _Known(entry.status, entry.group_id, entry.evse_ids, rules.post_authorize)

    def answered(self, token: IdToken, response: Payload, now: datetime, rules: OfflineRules) -> AuthorizeAnswer:
        info, certificate = response.get("idTokenInfo"), text_at(response, "certificateStatus")
        self.cache.learn(token, info, now, rules)
        status = status_of(text_at(info, "status"))
        if status is AuthorizationStatus.ACCEPTED and certificate not in (None, "Accepted"):
            status = AuthorizationStatus.INVALID
        return AuthorizeAnswer(
            status,
            certificate,
            group_id=text_at(info, "groupIdToken", "idToken"),
            evse_ids=evses_of(info),
        )

    def unanswered(self, token: IdToken, now: datetime, rules: OfflineRules) -> AuthorizeAnswer:
        """The CSMS is out of reach."""
        if token.kind == "eMAID" and not rules.contract_offline:
            return AuthorizeAnswer(None)
        known = self._known(token, now, rules)
        if rules.authorize_offline and known is not None:
            return AuthorizeAnswer(known.status, group_id=known.group_id, offline=True, evse_ids=known.evse_ids)
        if rules.unknown_offline and (known is None or known.status is AuthorizationStatus.ACCEPTED):
            return AuthorizeAnswer(AuthorizationStatus.ACCEPTED, offline=True)
        return AuthorizeAnswer(None)


def _key(token: IdToken) -> tuple[str, str]:
    return key_of(token.id_token, token.kind)
