"""The service in this process, over a session manager and a user directory that answer as they are
told; no store is opened."""

import io
import json
from types import SimpleNamespace
from typing import Any

import httpx

from clusterpass import (
    Config,
    Ended,
    Session,
    SessionRevoked,
    StepUpRequired,
    TokenExpired,
    TokenPair,
)
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.asgi.messages import Receive, Scope, Send
from clusterpass.service.asgi.request_body import BodyReader
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.authz.handler import FrontDoor
from clusterpass.service.authz.policy_file import read_policies
from clusterpass.service.calls.page_gate import PageGate
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.fastapi_app import build_framework
from clusterpass.service.hot.responder import Responder
from clusterpass.service.hot.routes import hot_routes
from clusterpass.service.settings.loading import make_settings
from clusterpass.tokens.keyring import KeyRing
from clusterpass.web.cookies import own_cookie

KEYS = KeyRing.generate()
ADDRESS = "10.0.0.9"
ALICE = Session(
    "alice",
    "a" * 22,
    "phone",
    1,
    2,
    3,
    claims={"scope": "orders:*"},
    acr="1",
    auth_time=1,
    amr=("pwd",),
    device_type="mobile",
)
ROOT = Session("root", "r" * 22, None, 1, 2, 3, acr="1", auth_time=1)
OLD = Session("root", "o" * 22, None, 1, 2, 3, acr="1", auth_time=1)
SESSIONS = {"alice": ALICE, "root": ROOT, "old": OLD}
"""Sessions by access token; that of ``old`` has no recent authentication."""
PAIR = TokenPair(
    "new access", "new refresh", 900, "n" * 22, "alice", durable=True, session_expires_in=600
)


class Asked:
    """Has every verb, also in groups; answers as it is told, and keeps what it was asked."""

    def __init__(
        self, answers: dict[str, Any], asked: list[Any] | None = None, prefix: str = ""
    ) -> None:
        self.answers = answers
        self.asked: list[Any] = [] if asked is None else asked
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Asked(self.answers, self.asked, f"{self._prefix}{name}.")

    async def __call__(self, *positional: Any, **named: Any) -> Any:
        verb = self._prefix.rstrip(".")
        self.asked.append((verb, *positional, named))
        answer = self.answers.get(verb)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Responses:
    """The responses that are kept with the remembered sessions."""

    def __init__(self, remembered: dict[str, Session]) -> None:
        self.kept: dict[str, bytes] = {}
        self._remembered = remembered

    def recall(self, token: str) -> bytes | None:
        return self.kept.get(token) if token in self._remembered else None

    def of(self, token: str, _: Session) -> bytes | None:
        return self.kept.get(token)

    def keep(self, token: str, _: Session, rendered: bytes) -> None:
        self.kept[token] = rendered


class Manager(Asked):
    """A session manager that knows :data:`SESSIONS`."""

    config: Config

    def __init__(self, answers: dict[str, Any]) -> None:
        super().__init__(answers)
        self.remembered: dict[str, Session] = {}
        """Remembered sessions by access token; empty: the store is asked each time."""
        self.responses = Responses(self.remembered)

    def recall(self, token: str) -> Session | None:
        return self.remembered.get(token)

    async def verify(self, token: str, **options: Any) -> Session:
        self.asked.append(("verify", token, options))
        if token == "over":
            raise TokenExpired
        if token not in SESSIONS:
            raise SessionRevoked(reason="revoked", ended_at=86_400, note="lost")
        if token == "old" and options.get("max_auth_age") is not None:
            raise StepUpRequired
        return SESSIONS[token]


class Served:
    """A running service."""

    def __init__(
        self,
        answers: dict[str, Any] | None = None,
        of_users: dict[str, Any] | None = None,
        *,
        has_hot_paths: bool = True,
        rules: list[dict[str, Any]] | None = None,
        **settings: Any,
    ) -> None:
        """``answers``: of the manager and the authenticator; ``of_users``: of the directory;
        ``rules``: of the front door's policy."""
        ours: dict[str, Any] = {
            "store_url": "embedded://",
            "keys_file": "keys.json",
            "administrators": ["root"],
        }
        ours |= {"issuer": "https://auth.example", "levels": ["1", "2"], "max_per_device": 1}
        self.settings = make_settings({**ours, **settings})
        self.sessions = Manager(answers or {})
        self.sessions.config = self.settings.session_config(KEYS)
        self.users = Asked(of_users or {}, self.sessions.asked, "users.")
        self.log = io.StringIO()
        self.requests = RequestCounts()
        authenticator: Any = Asked(answers or {}, self.sessions.asked, "authenticator.")
        authenticator.users = None if self.settings.password_check else self.users
        devices: Any = SimpleNamespace(
            known=lambda text, name: f"{text} of {name}" if text else None,
            make=lambda name, known: f"{name} {known}",
            cookie=own_cookie("device", secure=True, same_site="strict"),
        )
        self.sent: list[Any] = []
        sessions: Any = self.sessions
        self.gate = PageGate(self.sessions.config, self.settings.web(), None)
        service = Service(
            self.settings,
            sessions,
            authenticator,
            KEYS.public_jwks(),
            self.gate,
            devices,
            BodyReader(),
            self.sent.append,
            requests=self.requests,
        )
        logger = make_logger("json", self.log)
        framework = build_framework(service, logger)
        hot = hot_routes(service, logger, framework) if has_hot_paths else {}
        self.policies = (
            None
            if rules is None
            else read_policies({"rules": rules}, "policy.toml", levels=("1", "2"), most_grace=60)
        )
        policies = None if rules is None else lambda: self.policies
        self.door = door = FrontDoor(service, Responder(logger, service.requests), policies, None)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/authz/"):
                await door(scope, receive, send)
                return
            await hot.get(scope["path"], framework)(scope, receive, send)

        self._app = app

    async def __call__(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | list[tuple[str, str]] | None = None,
    ) -> httpx.Response:
        """The answer to a request; ``target``: the path with the query."""
        given = headers if isinstance(headers, list) else list((headers or {}).items())
        sent = {} if token is None else {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self._app, client=(ADDRESS, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, target, json=body, headers=[*sent.items(), *given])

    async def page(
        self,
        method: str,
        target: str,
        form: dict[str, str] | None = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        cookies: dict[str, str] | None = None,
    ) -> httpx.Response:
        """The answer to a browser of this site that has the access token ``token``.

        ``form``: its fields, to which the token of the form is added.
        """
        names = self.gate.settings.cookies
        sent = dict(cookies or {})
        if token is not None:
            sent |= {names.access.name: token, names.refresh.name: f"refresh of {token}"}
        fields = dict(form or {})
        if form is not None and token in SESSIONS and self.gate.csrf is not None:
            fields.setdefault("form_token", self.gate.csrf.make(SESSIONS[token].session_id))
        transport = httpx.ASGITransport(self._app, client=(ADDRESS, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://service") as client:
            return await client.request(
                method,
                target,
                data=fields if form is not None else None,
                headers={
                    "sec-fetch-site": "same-origin",
                    "cookie": "; ".join(f"{name}={value}" for name, value in sent.items()),
                    **(headers or {}),
                },
            )

    def asked(self) -> list[Any]:
        """What was asked but for the verifies of the caller, since it was asked before."""
        found = [each for each in self.sessions.asked if each[0] != "verify"]
        self.sessions.asked.clear()
        return found

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


ENDED = Ended(2, durable=True)
