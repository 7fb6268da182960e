# Generated from managers/aio/issuing.py by scripts/generate_sync.py; do not edit.
"""The verbs of a manager that issue tokens, for a new session or for a live one."""

from collections.abc import Sequence
from typing import Unpack

from clusterpass.managers.sync.verbs import Verbs
from clusterpass.model.refusals import refusal_here
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.options import LoginOptions


class IssuingVerbs(Verbs):
    """Logging in, for oneself or for another user; refreshing; and stepping up."""

    def generation(self, subject: str) -> int:
        """Return a number that each ``revoke_all`` of ``subject`` raises; 0 when there was none.

        Read the generation before you authenticate a user and pass it to :meth:`login`, which then
        raises LoginOvertaken if all sessions were revoked meanwhile. One round trip
        (``read_fields.lua``). Raises InvalidInput.
        """
        return self._running.run(self._flows.subject.generation(subject))

    def login(self, subject: str, **options: Unpack[LoginOptions]) -> TokenPair:
        """Open a session of ``subject``, whom the application has authenticated.

        All options are optional. ``device``: a device name by which the user recognises the
        session, at most 128 bytes. ``device_type``: the type of device (``phone``), at most 16
        characters. ``claims``: plain JSON of at most 4096 bytes, which each access token carries.
        ``policy``: overrides ``Config.policy``. ``replace``: the id of a session that the new one
        replaces. ``remember``: True for the longer lifetimes of the configuration. ``lifetime``,
        ``idle_lifetime``: seconds, overriding the configuration. ``acr``, ``amr``: the level and
        the methods of the authentication (RFC 8176). ``address``: the client's IP address, for the
        history. ``generation``: the result of :meth:`generation`, read before the user was
        authenticated.

        One round trip (``login.lua``). Raises InvalidInput; SubjectBanned; TooManySessions, which
        carries the live sessions, when the policy refuses another one; LoginOvertaken when all
        sessions were revoked since ``generation``.
        """
        return self._running.audited(
            "login",
            self._flows.login.login(subject, options),
            subject=subject,
            address=options.get("address"),
        )

    def login_failed(
        self, subject: str, *, error: str = "invalid_credentials", address: str | None = None
    ) -> None:
        """Note that somebody could not log in as ``subject``, whom the application refused.

        The history of the subject tells its user, if there is one; listeners to ``refused`` and the
        audit trail are told whether there is one or not. A user directory calls this method by
        itself, and so do the logins of integrations with web frameworks. ``subject``: as it was
        typed. ``error``: the code of the error, of 1 to 64 lowercase letters, digits or any of
        ``_.-``; with ``too_many_attempts`` the history is left alone. ``address``: the client's IP
        address. One round trip (``note_refusal.lua``). Raises InvalidInput.
        """
        trail = None if refusal_here().tell() else self._running.trail
        self._running.run(
            self._flows.subject.login_failed(subject, error=error, address=address, trail=trail)
        )

    def refresh(self, refresh_token: str, *, address: str | None = None) -> TokenPair:
        """Exchange ``refresh_token``, which can be used once, for a new pair of tokens.

        A token that is presented again within ``Config.refresh_grace``, or before a token of its
        exchange was used (``Config.refresh_retry``), gets the same successor; after that its
        session is ended (RFC 9700 section 4.14.2). ``address``: the client's IP
        address, for the history. One round trip (``rotate.lua``). Raises RefreshTokenReused when
        the token was used before, and InvalidRefreshToken, with a ``reason``, when it is not valid.
        """
        return self._running.audited(
            "refresh",
            self._flows.refresh.refresh(refresh_token, address=address),
            token=refresh_token,
            address=address,
        )

    def elevate(
        self,
        session: Session,
        level: str,
        *,
        for_seconds: int,
        amr: Sequence[str] = (),
        address: str | None = None,
        password_changed: bool = False,
    ) -> TokenPair:
        """Record that the user of ``session`` has just authenticated again, at ``level``.

        Returns new tokens of the same session. For ``for_seconds`` (1 second to one day) they, and
        those of their refreshes, have that ``acr``, these ``amr`` and a new ``auth_time``
        (RFC 9470); after that they have those of the login. Tokens that were issued before never
        do: they keep those of the login, or end with ``Config.step_up_ends_older_tokens``. The
        client replaces both of its tokens: of the old and the new refresh token, the first to be
        exchanged after ``Config.refresh_grace`` ends the other. ``address``: the client's IP
        address, for the history. ``password_changed``: the user has changed the password, too: the
        history says so, and all tokens of the session that were issued before end. One round trip
        (``elevate.lua``). Raises InvalidInput, ImpersonationRefused for an impersonation, and
        SessionUnknown, SessionExpired or SessionRevoked when the session is not live.
        """
        return self._running.audited(
            "step_up",
            self._flows.adjust.elevate(
                session,
                level,
                for_seconds=for_seconds,
                amr=amr,
                address=address,
                password_changed=password_changed,
            ),
            session=session,
            address=address,
        )

    def impersonate(
        self,
        actor: Session,
        subject: str,
        *,
        reason: str,
        for_seconds: int = 900,
    ) -> TokenPair:
        """Open a session of ``subject`` in which ``actor`` acts (RFC 8693 section 4.1).

        The application decides beforehand whether ``actor`` may do so. The tokens carry ``act``;
        lists and the history show the actor and the ``reason``. The session ends after
        ``for_seconds`` (at most 3600), or together with the actor's own session. The session counts
        towards no policy and cannot be stepped up. Two round trips (``verify.lua`` for the actor,
        ``login.lua``). Raises InvalidInput; SubjectBanned; SessionUnknown, SessionExpired or
        SessionRevoked when the actor's session is not live; and ImpersonationRefused for a
        protected subject, for the actor's own subject, and when ``actor`` is an impersonation.
        """
        return self._running.audited(
            "impersonate",
            self._flows.login.impersonate(actor, subject, reason=reason, for_seconds=for_seconds),
            subject=subject,
            reason=reason,
            by=actor,
        )
