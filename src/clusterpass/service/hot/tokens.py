"""The hot paths POST /refresh, /login, /step-up and /logout, answered in front of the framework."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from clusterpass.service.asgi.messages import App, Receive, Scope, Send, header_values
from clusterpass.service.asgi.request_body import JSON, BodyReader, replay
from clusterpass.service.asgi.security_headers import FORGET_SITE
from clusterpass.service.bodies.requests import LoginRequest, RefreshRequest, StepUpRequest
from clusterpass.service.calls import tokens as calls
from clusterpass.service.calls.requests import address_of
from clusterpass.service.calls.verify import verify_fresh
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.rendering import answer_pair
from clusterpass.service.hot.responder import Answer, Responder, answer_problem
from clusterpass.web.bearer import bearer_token
from clusterpass.web.problems import Problem

Body = TypeVar("Body")
Fields = dict[str, Any]
Make = Callable[[Scope, Body, Fields], Awaitable[Answer]]


class Post(Generic[Body]):
    """The handler of one path that takes POST with a JSON body."""

    def __init__(
        self,
        responder: Responder,
        framework: App,
        parse: Callable[[bytes], Body],
        make: Make[Body],
        reader: BodyReader,
    ) -> None:
        """``framework``: answers what this handler does not. ``parse``: raises ValidationError."""
        self._reader: Final = reader
        self._responder: Final = responder
        self._framework: Final = framework
        self._parse: Final = parse
        self._make: Final = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond, or pass the request on with its body."""
        if scope["method"] != "POST":
            await self._framework(scope, receive, send)
            return
        started, fields = time.perf_counter(), Fields()
        read = await self._reader.read(scope, receive, JSON)
        if isinstance(read, bytes):
            try:
                body = self._parse(read)
            except ValidationError:
                await self._framework(scope, replay(read, receive), send)
                return
            answering: Awaitable[Answer | None] = self._make(scope, body, fields)
        else:
            answering = _unread(read)
        await self._responder.respond(scope, send, answering, fields, started)


class TokenCalls:
    """The answers of the calls that issue or revoke tokens."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service

    async def refresh(self, scope: Scope, body: RefreshRequest, fields: Fields) -> Answer:
        """Exchange a refresh token."""
        address = address_of(self._service, scope)
        return answer_pair(await calls.refresh(self._service, body, address, fields))

    async def login(self, scope: Scope, body: LoginRequest, fields: Fields) -> Answer:
        """Open a session."""
        address = address_of(self._service, scope)
        pair, device = await calls.login(self._service, body, scope, address, fields)
        answer = answer_pair(pair)
        answer.headers.append(device)
        return answer

    async def step_up(self, scope: Scope, body: StepUpRequest, fields: Fields) -> Answer:
        """Confirm the password."""
        session = await verify_fresh(self._service, _token(scope), fields)
        address = address_of(self._service, scope)
        return answer_pair(await calls.step_up(self._service, session, body, address))

    async def logout(self, scope: Scope, _: None, __: Fields) -> Answer:
        """End a session."""
        token = _token(scope)
        await calls.logout(self._service, token, address_of(self._service, scope), scope)
        return Answer(204, [FORGET_SITE])


def parser(model: type[BaseModel]) -> Callable[[bytes], Any]:
    """Return the function that reads a body of ``model``, and raises ValidationError."""
    return model.__pydantic_validator__.validate_json


def no_body(_: bytes) -> None:
    """Read a body that does not matter."""


def _token(scope: Scope) -> str:
    return bearer_token(header_values(scope, b"authorization"))


async def _unread(problem: Problem | None) -> Answer | None:
    return None if problem is None else answer_problem(problem)
