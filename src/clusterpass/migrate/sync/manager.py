# Generated from migrate/aio/manager.py by scripts/generate_sync.py; do not edit.
"""A session manager that also accepts the tokens of other issuers, while their users move over."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from clusterpass.config import Config, VerificationMode
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.migrate.accepted import (
    can_be_kept,
    check_look_up,
    checked,
    lifetimes_of,
)
from clusterpass.migrate.old_issuer import OldIssuer, logger
from clusterpass.migrate.report import MigrationReport, Tally
from clusterpass.migrate.users import OldUser
from clusterpass.model.authentication_errors import (
    AuthenticationError,
    InvalidRefreshToken,
    InvalidToken,
    SessionRevoked,
    TokenAudienceInvalid,
    TokenExpired,
    TokenIssuerInvalid,
    TokenKeyUnknown,
    TokenMalformed,
    TokenSignatureInvalid,
    TokenTypeInvalid,
)
from clusterpass.model.errors import ClusterPassError, ConfigurationError
from clusterpass.model.old_tokens import OldToken
from clusterpass.model.values import Ended, Session, TokenPair
from clusterpass.store.protocol import Store
from clusterpass.tokens.refresh import looks_like_refresh_token

_TOLD_SECONDS: Final = 10.0
_OF_OTHERS: Final = (
    TokenMalformed,
    TokenKeyUnknown,
    TokenSignatureInvalid,
    TokenTypeInvalid,
    TokenIssuerInvalid,
    TokenAudienceInvalid,
)


class MigratingSessionManager(SessionManager):
    """A session manager that accepts, beside its own tokens, those of other issuers.

    Name the issuers with :meth:`accept`. :meth:`verify` then takes their access tokens until they
    expire, :meth:`refresh` exchanges their refresh tokens for sessions, once each, and
    :meth:`logout` ends what came of either. All other verbs are those of every session manager.
    """

    def __init__(self, store: Store, config: Config) -> None:
        """``store`` and ``config`` are those of every session manager; raises the same errors."""
        super().__init__(store, config)
        self._issuers: tuple[OldIssuer, ...] = ()
        self._look_up: Callable[[str], OldToken | None] | None = None
        self._look_up_name = ""
        self._user_of: Callable[[OldToken], OldUser | None] | None = None
        self._lifetimes: dict[str, int] = {}
        self._tallies: dict[str, Tally] = {}
        self._told_at = 0.0

    def accept(
        self,
        *issuers: OldIssuer,
        look_up: Callable[[str], OldToken | None] | None = None,
        look_up_name: str = "look-up",
        look_up_lifetime: int = 0,
        user_of: Callable[[OldToken], OldUser | None] | None = None,
    ) -> None:
        """Accept the tokens of ``issuers`` from now on.

        ``look_up``: returns what an opaque token stands for, or None; ``look_up_name`` and
        ``look_up_lifetime`` are the ``issuer`` of these tokens, and the seconds for which the
        longest-lived of them is valid. ``user_of``: returns the user of an old token, and the
        options of the login that opens their session; None refuses the token, because the old
        application had revoked it for example. Without it the user is the token's own subject,
        with the token's own claims. Called for each old token that is verified or exchanged.

        Raises ConfigurationError when ``Config.generation_lifetime`` is shorter than a token lives,
        as the store could forget that all sessions of a user were revoked, and accept an older
        token; and when two issuers have one name, or one key without telling kinds apart.
        """
        lifetimes = lifetimes_of(issuers)
        if look_up is not None:
            check_look_up(look_up_name, look_up_lifetime, lifetimes)
            lifetimes[look_up_name] = look_up_lifetime
        if not lifetimes:
            raise ConfigurationError("accept needs an issuer, or a look_up")
        longest = max(lifetimes.values())
        if self.config.generation_lifetime < longest:
            raise ConfigurationError(
                f"generation_lifetime ({self.config.generation_lifetime} s) must be at least"
                f" {longest} s, for which old tokens are valid: a user who was logged out"
                " everywhere could otherwise come back with one"
            )
        self._issuers = issuers
        self._look_up = look_up
        self._look_up_name = look_up_name
        self._user_of = user_of
        self._lifetimes = lifetimes
        self._tallies = {name: self._tallies.get(name, Tally()) for name in lifetimes}

    def close(self) -> None:
        """Tell the store what was counted, and close the manager."""
        try:
            self._tell_counts()
        finally:
            super().close()

    def verify(
        self,
        access_token: str,
        *,
        level: str | None = None,
        max_auth_age: int | None = None,
        verification: VerificationMode | None = None,
        outage_grace: float | None = None,
    ) -> Session:
        """Return the live session of ``access_token``, or what an old access token stands for.

        The arguments and errors are those of every session manager. An old token is verified with
        one round trip, whatever the mode (``stateless``: none), and has no outage grace. Its
        session has the lowest level, and an id of its own that no other verb knows until the token
        is exchanged.
        """
        try:
            return super().verify(
                access_token,
                level=level,
                max_auth_age=max_auth_age,
                verification=verification,
                outage_grace=outage_grace,
            )
        except InvalidToken as error:
            old = self._read(access_token) if _may_be_old(error) else None
            if old is None or old.kind != "access":
                raise
        user = self._require_user(old, SessionRevoked(reason="revoked", ended_at=0))
        mode = verification or self.config.verification
        claims = user.options.get("claims")
        known = replace(old, claims={} if claims is None else claims)
        flow = self._flows.exchange.verify(
            known,
            user.subject,
            level=level,
            max_auth_age=max_auth_age,
            asks=mode != "stateless",
        )
        try:
            session = self.store.run(flow)
        except AuthenticationError:
            self._tallies[old.issuer].refused += 1
            raise
        self._count(old)
        if mode != "stateless":
            self._tell_counts_if_due()
        return session

    def refresh(self, refresh_token: str, *, address: str | None = None) -> TokenPair:
        """Exchange ``refresh_token`` for a new pair of tokens; it may be an old one.

        The arguments and errors are those of every session manager. An old token opens one session:
        who presents it again gets the same tokens, as long as these have not been refreshed for
        longer than ``Config.refresh_grace``. One round trip (``login.lua``). Raises
        InvalidRefreshToken with the reason ``exchanged`` when the old token opened a session that
        has moved on, or was logged out; SubjectBanned, and TooManySessions.
        """
        if isinstance(refresh_token, str) and looks_like_refresh_token(refresh_token):
            return super().refresh(refresh_token, address=address)
        try:
            old = self._read(refresh_token)
        except TokenExpired:
            raise InvalidRefreshToken(reason="expired") from None
        if old is None or not old.is_exchangeable:
            raise InvalidRefreshToken(reason="malformed")
        user = self._require_user(old, InvalidRefreshToken(reason="revoked"))
        options = user.options.copy()
        if address is not None:
            options.setdefault("address", address)
        if self._user_of is None and not can_be_kept(old):
            self._tallies[old.issuer].refused += 1
            raise InvalidRefreshToken(reason="malformed")
        try:
            pair = self._running.audited(
                "login",
                self._flows.exchange.exchange(old, user.subject, options),
                subject=user.subject,
                address=address,
                details={"exchanged": old.issuer},
            )
        except AuthenticationError:
            self._tallies[old.issuer].refused += 1
            raise
        self._count(old, exchanged=True)
        self._tell_counts_if_due()
        return pair

    def logout(
        self,
        token: str,
        *,
        address: str | None = None,
        operation_id: str | None = None,
    ) -> Ended:
        """End the session of ``token``; an old token is accepted no more, nor exchanged.

        The arguments and errors are those of every session manager. Two round trips for an old
        token that was exchanged, one otherwise; StoreUnavailable is raised when a failover could
        bring it back, and the call can be repeated.
        """
        try:
            return super().logout(token, address=address, operation_id=operation_id)
        except (InvalidToken, InvalidRefreshToken) as error:
            if not _may_be_old(error):
                raise
            failure = error
        try:
            old = self._read(token)
        except TokenExpired:
            return Ended(0, durable=True)
        if old is None:
            raise failure
        user = self._require_user(old, InvalidToken(reason="revoked"))
        opened = self._running.audited(
            "spend_old_token",
            self._flows.exchange.spend(old, user.subject),
            subject=user.subject,
            actor=user.subject,
            address=address,
            details={"issuer": old.issuer},
        )
        if opened is None:
            return Ended(0, durable=True)
        return super().logout(opened.encode(), address=address, operation_id=operation_id)

    def migration_reports(self) -> list[MigrationReport]:
        """Return what became of the old tokens in all processes of the namespace, by issuer.

        Each issuer whose tokens any process has counted is reported, also without :meth:`accept`. A
        process tells the store at most every ten seconds, when it sees an old token, and on
        closing; this one tells it now. One round trip (``read_old_token_counts.lua``), and one for
        each issuer that was accepted here (``count_old_tokens.lua``). Raises StoreUnavailable.
        """
        for name in self._lifetimes:
            self._count_in_store(name)
        counted = self.store.run(self._flows.old_tokens.counted())
        return [MigrationReport.of(each) for each in counted]

    def _read(self, token: str) -> OldToken | None:
        """Return what an old token stands for; None: no old issuer knows it.

        Raises TokenExpired and StoreUnavailable.
        """
        now = self._flows.context.clock.wall()
        for issuer in self._issuers:
            try:
                old = issuer.read(token, now=now)
            except TokenExpired:
                self._tallies[issuer.name].refused += 1
                raise
            if old is not None:
                return old
        if self._look_up is None or not isinstance(token, str) or not token:
            return None
        old = self._look_up(token)
        return None if old is None else checked(old, self._look_up_name, self._lifetimes, now)

    def _require_user(self, old: OldToken, refusal: AuthenticationError) -> OldUser:
        if self._user_of is None:
            return OldUser(old.subject, {"claims": old.claims})
        user = self._user_of(old)
        if user is None:
            self._tallies[old.issuer].refused += 1
            raise refusal
        if not isinstance(user, OldUser):
            raise ConfigurationError("user_of must return an OldUser, or None")
        return user

    def _count(self, old: OldToken, *, exchanged: bool = False) -> None:
        tally = self._tallies[old.issuer]
        tally.exchanged += exchanged
        tally.accepted += not exchanged
        tally.last_seen_at = int(self._flows.context.clock.wall())
        tally.last_issued_at = max(tally.last_issued_at, old.issued_at)

    def _tell_counts_if_due(self) -> None:
        now = self._flows.context.clock.steady()
        if now >= self._told_at + _TOLD_SECONDS:
            self._told_at = now
            self._tell_counts()

    def _tell_counts(self) -> None:
        """Tell the store what was counted; what it cannot be told now is told the next time."""
        for name, tally in self._tallies.items():
            if not tally.is_empty:
                try:
                    self._count_in_store(name)
                except ClusterPassError as error:
                    logger.warning("old tokens of %s could not be counted: %s", name, error)
                    return

    def _count_in_store(self, name: str) -> None:
        tally = self._tallies[name]
        taken = tally.take()
        try:
            self.store.run(
                self._flows.old_tokens.count(
                    name,
                    (taken.accepted, taken.exchanged, taken.refused),
                    last_seen_at=taken.last_seen_at,
                    last_issued_at=taken.last_issued_at,
                    lifetime=self._lifetimes[name],
                )
            )
        except BaseException:
            tally.put_back(taken)
            raise


def _may_be_old(error: AuthenticationError) -> bool:
    """Return whether ``error`` says that a token is not one of ClusterPass, valid or not."""
    if isinstance(error, InvalidRefreshToken):
        return error.reason == "malformed"
    return isinstance(error, _OF_OTHERS)
