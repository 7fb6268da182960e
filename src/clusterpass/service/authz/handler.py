"""The ASGI handler of ``/authz/``, by which proxies ask whether to forward a request.

Every method is accepted, and the query string is ignored.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from clusterpass import (
    AuthenticationError,
    ClusterPassError,
    Session,
)
from clusterpass.service.asgi.messages import Headers, Receive, Scope, Send, send_response
from clusterpass.service.asgi.request_counts import ANY_METHOD
from clusterpass.service.asgi.request_log import note_error
from clusterpass.service.authz.credentials import token_of
from clusterpass.service.authz.decision import Allowed, Denied, Grace, decide, rule_on
from clusterpass.service.authz.endpoints import PREFIX, Endpoint, find_endpoint
from clusterpass.service.authz.identity import Identity
from clusterpass.service.authz.log_fields import attempted_subject, audit_fields
from clusterpass.service.authz.navigation import leading_of, redirecting
from clusterpass.service.authz.original_request import (
    FAMILIES,
    Asked,
    OriginalRequest,
    read_original,
)
from clusterpass.service.authz.policy import POLICY_NAME, Policies
from clusterpass.service.authz.renewal import COPY_COOKIES, BrowserRequest
from clusterpass.service.authz.warm import Warm
from clusterpass.service.authz.warm_http import WarmResponses
from clusterpass.service.calls.requests import address_of
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.responder import Answer, Responder, answer_problem
from clusterpass.web.client_address import is_trusted_peer
from clusterpass.web.problems import Problem

if TYPE_CHECKING:
    from clusterpass.service.authz.assertion import Assertions

_UNREADABLE: Final = Problem(
    503,
    "policy_unavailable",
    "The access policy cannot be read.",
    "The access policy cannot be read.",
    headers={"Retry-After": "5"},
)
_ERROR: Final = b"x-auth-error"
"""The header that names the error: some proxies keep nothing else of an answer but its status."""


class FrontDoor:
    """The handler of every path under /authz/."""

    def __init__(
        self,
        service: Service,
        responder: Responder,
        policies: Callable[[], Policies | None] | None,
        assertions: "Assertions | None",
    ) -> None:
        """``policies``: returns those of now, or None while there are none to go by; None: there
        is no policy file. ``assertions``: None where the setting is off."""
        self._service: Final = service
        self._sessions: Final = service.sessions
        self._responder: Final = responder
        self._policies: Final = policies
        self._assertions: Final = assertions
        settings = service.settings
        self.identity: Final = Identity(settings.authz_identity_headers)
        self._grace: Final = Grace(settings.outage_grace, settings.authz_most_grace)
        self._cookie: Final = service.gate.settings.cookies.access.name
        self._leading: Final = leading_of(settings)
        self._networks: Final = service.gate.settings.networks
        self._logs_all: Final = settings.log_warm_verifies
        read = (self._cookie, service.proxy_cookies)
        self.warm: Final = (
            None if self._logs_all else Warm(service.sessions, policies, assertions, *read)
        )
        """What allows requests from memory; None where all that is allowed is logged."""
        self._warm_count: Final = service.requests.warm[PREFIX + "*", ANY_METHOD]
        self._warm_responses: Final = WarmResponses(self.warm, self.identity, self._networks)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to the proxy."""
        headers = self._warm_responses.headers(scope)
        if headers is not None:
            self._warm_count.count += 1
            await send_response(send, 200, headers, b"")
            return
        started, fields = time.perf_counter(), dict[str, Any]()
        endpoint = find_endpoint(_raw_path(scope))
        shown = PREFIX if endpoint is None else endpoint.shown
        # Whoever sends the request chooses the name of a policy: it is no part of a route.
        route = "(none)" if endpoint is None else PREFIX + endpoint.proxy
        answering = self._answer(scope, endpoint, fields)
        await self._responder.respond(
            scope, send, answering, fields, started, path=shown, route=(route, ANY_METHOD)
        )

    async def _answer(
        self, scope: Scope, endpoint: Endpoint | None, fields: dict[str, Any]
    ) -> Answer:
        if endpoint is None:
            return _misnamed("unknown_endpoint", fields)
        asked = self._asked(scope, endpoint, _headers_of(scope))
        address = partial(address_of, self._service, scope)
        return await self.judge(asked, endpoint.policy, address, fields)

    async def judge(
        self,
        asked: Asked,
        name: str,
        address: Callable[[], str | None],
        fields: dict[str, Any],
    ) -> Answer:
        """Return the answer to what a proxy asks.

        ``name``: of the policy; empty for that without one. ``address``: returns that of the
        client. ``fields``: of the log line.
        """
        try:
            return await self._judge(asked, name, address, fields)
        except ClusterPassError as error:
            return _named(answer_problem(note_error(fields, error)), fields)

    async def _judge(
        self,
        asked: Asked,
        name: str,
        address: Callable[[], str | None],
        fields: dict[str, Any],
    ) -> Answer:
        policies = None if self._policies is None else self._policies()
        if policies is None and self._policies is not None:
            return _unavailable(fields)
        policy = None if policies is None else policies.named(name)
        if policy is None and (policies is not None or name):
            fields["client"] = address()
            fields["policy"] = name if POLICY_NAME.fullmatch(name) else "[invalid]"
            return _misnamed("unknown_policy", fields)

        original = read_original(asked)
        cookies = self._service.proxy_cookies
        browser = None if cookies is None else BrowserRequest(cookies, asked.headers, original)

        def token() -> str:
            return token_of(asked.headers, self._cookie) if browser is None else browser.token()

        ruling = rule_on(policy, original)
        decision = await decide(
            self._sessions, ruling, original.method, token, grace=self._grace, fields=fields
        )
        cookie = None
        if browser is not None:
            decision, cookie = await browser.settle(self._sessions, decision)
        if isinstance(decision, Allowed):
            is_logged = self._logs_all or not decision.is_from_memory
            answer = self._allow(decision.session, original, is_logged=is_logged)
            if browser is not None:
                answer.headers.extend(_cookie_headers(asked.proxy, browser, cookie))
            return answer
        fields.update(audit_fields(original, ruling, address(), name))
        if isinstance(decision, Denied) and "subject" not in fields:
            subject = attempted_subject(self._sessions.config, token)
            if subject is not None:
                fields["attempted_subject"] = subject
        if self._leading is not None and isinstance(decision.error, AuthenticationError):
            url = self._leading.away(original, asked.headers, decision.error)
            if url is not None:
                problem = note_error(fields, decision.error)
                return _named(answer_problem(redirecting(problem, url, asked.proxy)), fields)
        raise decision.error

    def _asked(self, scope: Scope, endpoint: Endpoint, headers: dict[str, list[str]]) -> Asked:
        client = scope.get("client")
        return Asked(
            family=FAMILIES[endpoint.proxy],
            is_trusted=is_trusted_peer(client[0] if client else None, self._networks),
            headers=headers,
            method=scope["method"],
            suffix=endpoint.suffix,
            query=scope["query_string"].decode("latin-1"),
            proxy=endpoint.proxy,
        )

    def _allow(
        self, session: Session | None, original: OriginalRequest, *, is_logged: bool
    ) -> Answer:
        assertion = ""
        if self._assertions is not None and session is not None and original.host is not None:
            assertion = self._assertions.of(session, original.host)
        sent = self.identity.encoded(session, assertion)
        return Answer(200, [(b"content-length", b"0"), *sent], b"", is_logged)


def _cookie_headers(
    proxy: str, browser: BrowserRequest, renewed: tuple[str, str] | None
) -> Headers:
    """Return what a proxy passes on to the browser, and what to the upstream in place of Cookie."""
    headers: Headers = []
    if renewed is not None:
        headers.append((b"set-cookie", renewed[1].encode("latin-1")))
    others = browser.other_cookies() if proxy in COPY_COOKIES else None
    if others is not None:
        headers.append((b"cookie", others.encode("latin-1")))
    return headers


def _misnamed(reason: str, fields: dict[str, Any]) -> Answer:
    """Return the answer to a proxy that asks for what there is not.

    It is no 404, which would look like one of the application behind the proxy.
    """
    fields["reason"] = reason
    return _unavailable(fields)


def _unavailable(fields: dict[str, Any]) -> Answer:
    fields["error"] = _UNREADABLE.error
    return _named(answer_problem(_UNREADABLE), fields)


def _named(answer: Answer, fields: dict[str, Any]) -> Answer:
    """Add the header with the error of ``fields`` to ``answer``, and return it."""
    answer.headers.append((_ERROR, fields["error"].encode("ascii")))
    return answer


def _raw_path(scope: Scope) -> str:
    """Return the path as it was sent; empty, which is no endpoint, where the server hides it."""
    raw: bytes = scope.get("raw_path") or b""
    return raw.partition(b"?")[0].decode("latin-1")


def _headers_of(scope: Scope) -> dict[str, list[str]]:
    """Return the values of each header, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found
