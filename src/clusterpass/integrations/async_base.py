"""The base class of the integrations with asynchronous frameworks.

The class holds the session manager, and has the verbs. Each verb takes the visit of a request and
returns an answer, which the framework's module converts to a response.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Self, cast

from clusterpass.integrations.attached import Attached, InOutage, attached
from clusterpass.integrations.login_options import login_options
from clusterpass.integrations.server_sent_events import ServerSentEvent, event_bytes
from clusterpass.integrations.settings import Setup, set_up
from clusterpass.integrations.streams import Event, StreamEnd, while_live
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.model.errors import InvalidInput, TooManyAttempts
from clusterpass.model.values import Session, TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.users.aio.throttle import AsyncLoginThrottle
from clusterpass.web import endpoints
from clusterpass.web.acting import acting_in
from clusterpass.web.credentials import find_credentials
from clusterpass.web.flow import run_async
from clusterpass.web.gate import Gate, Needs, Visit
from clusterpass.web.login_attempts import LoginAttempts
from clusterpass.web.messages import SAFE_METHODS, SOCKET, WebAnswer, WebRequest
from clusterpass.web.needs import scope_names

_UNPROTECTED: Final = SAFE_METHODS | {SOCKET}
"""The methods of requests that need no CSRF token."""


class AsyncBase:
    """Sessions in one application of an asynchronous framework."""

    def __init__(self, sessions: AsyncSessionManager | None = None, **settings: Any) -> None:
        """``sessions``: a manager of the application's own, which it also closes; None: one is
        opened when the application starts, or at the first request, and closed when it stops.

        ``settings``: ``store_url``, and the settings of ``Config`` and of ``WebSettings``; what is
        not given is read from ``CLUSTERPASS_*`` variables. Raises ConfigurationError for an unsafe
        setting.
        """
        self._own: Final = sessions
        self._opened: AsyncSessionManager | None = None
        config = None if sessions is None else sessions.config
        self._setup: Final[Setup] = set_up(settings, config=config)
        self.gate: Final = Gate(self._setup.config, self._setup.web)
        self._attempts: Final = LoginAttempts(self.gate, self._setup.config)

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """Return sessions as ``CLUSTERPASS_*`` variables describe them; ``settings`` override."""
        return cls(**settings)

    @property
    def sessions(self) -> AsyncSessionManager:
        """The session manager."""
        return self.open()

    def open(self) -> AsyncSessionManager:
        """Open the manager, unless it is open, and return it."""
        if self._own is not None:
            return self._own
        if self._opened is None:
            self._opened = AsyncSessionManager.from_url(self._setup.store_url, self._setup.config)
        return self._opened

    async def close(self) -> None:
        """Close the manager, unless it is the application's own one."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    def while_live(
        self,
        session: Session,
        events: AsyncIterator[Event],
        *,
        scopes: Sequence[str] = (),
        not_banned: str | None = None,
        in_outage: InOutage = "stay",
        last: Callable[[StreamEnd], Event] | None = None,
    ) -> AsyncGenerator[Event]:
        """Return ``events`` until they or ``session`` end, for a stream of any kind.

        ``scopes``: the stream also ends when the session loses one of them; ``not_banned``: when it
        is banned from that scope; ``in_outage="close"``: also in a store outage. ``last``: makes an
        event that is yielded last in these cases.
        """
        needs = Needs(scopes=scope_names(scopes), not_banned=not_banned)
        return while_live(
            self.sessions, session, events, needs=needs, in_outage=in_outage, last=last
        )

    def _event_bytes(
        self,
        session: Session,
        events: AsyncIterator[ServerSentEvent | str],
        needs: Needs,
        in_outage: InOutage,
        keep_alive: float | None,
    ) -> AsyncGenerator[bytes]:
        return event_bytes(
            self.sessions,
            session,
            events,
            needs=needs,
            in_outage=in_outage,
            keep_alive=keep_alive,
        )

    async def _admit(self, visit: Visit, needs: Needs, form_token: str = "") -> Session:
        return await run_async(self.sessions, self.gate.admit(visit, needs, form_token=form_token))

    async def _log_in(self, visit: Visit, subject: str, options: dict[str, Any]) -> WebAnswer:
        """Open a session; some of ``options`` are for the answer."""
        target = options.pop("target", None)
        whom: dict[str, Any] = {
            "to_browser": options.pop("to_browser", None),
            "allow_cross_site": options.pop("allow_cross_site", False),
        }
        endpoints.require_own_login(self.gate, visit, **whom)
        wanted = login_options(self.gate, visit.request, options)
        pair = await self.sessions.login(subject, **cast("LoginOptions", wanted))
        if visit.attempt is not None:
            succeeded = self._attempts.succeed(visit, to_browser=whom["to_browser"])
            await run_async(self._throttle(), succeeded)
        return self._deliver(visit, pair, target, **whom)

    def _deliver(
        self,
        visit: Visit,
        pair: TokenPair,
        target: str | None,
        *,
        allow_cross_site: bool,
        to_browser: bool | None = None,
    ) -> WebAnswer:
        """Return the answer that delivers ``pair``, after a login or a step-up."""
        return endpoints.pair_answer(
            self.gate,
            visit,
            pair,
            target=target,
            to_browser=to_browser,
            allow_cross_site=allow_cross_site,
        )

    async def _count_attempt(self, visit: Visit, username: str) -> None:
        try:
            await run_async(self._throttle(), self._attempts.count(visit, username))
        except TooManyAttempts as error:
            await self._login_failed(visit, username, error.code)
            raise

    async def _login_failed(self, visit: Visit, username: str, error: str) -> None:
        await run_async(self.sessions, self._attempts.refuse(visit, username, error))

    def _acting(self, visit: Visit) -> AbstractContextManager[None]:
        return acting_in(self.gate, visit)

    def _throttle(self) -> AsyncLoginThrottle:
        return AsyncLoginThrottle(self.sessions, self._setup.throttle)

    def _csrf_token(self, visit: Visit) -> str:
        if visit.session is None or self.gate.csrf is None:
            return ""
        return self.gate.csrf.make(visit.session.session_id)

    def _attached(
        self,
        session: Session,
        close: Callable[[int, str], Awaitable[None]],
        needs: Needs,
        in_outage: InOutage,
    ) -> AbstractAsyncContextManager[Attached]:
        return attached(self.sessions, session, close, needs=needs, in_outage=in_outage)

    def _reads_form(self, request: WebRequest) -> bool:
        """Return whether the CSRF token can only be in the form that ``request`` submits.

        Otherwise the body is left for the application, which may want to read it bit by bit.
        """
        return (
            self.gate.csrf is not None
            and request.method not in _UNPROTECTED
            and endpoints.is_form(request)
            and not request.header(self.gate.settings.csrf_header)
            and self._is_by_cookie(request)
        )

    def _is_by_cookie(self, request: WebRequest) -> bool:
        try:
            return find_credentials(request, self.gate.settings).place == "cookie"
        except (AuthenticationError, InvalidInput):
            return False  # as the gate will find


__all__ = ["AsyncBase"]
