"""The routes of Litestar for login, refresh, logout and the list of devices."""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from litestar import Request, Response, Router, delete, get, post
from litestar.exceptions import HTTPException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody

from clusterpass.integrations.grants import Authenticate, ask_application
from clusterpass.integrations.litestar_requests import Connection, requires, respond, visit_of
from clusterpass.model.errors import InvalidInput
from clusterpass.web import endpoints
from clusterpass.web.json_bodies import is_json, json_member

if TYPE_CHECKING:
    from clusterpass.integrations.litestar import ClusterPass

Visitor = Request[Any, Any, Any]


@dataclass
class LoginBody:
    """The body of a login."""

    username: str
    password: str = field(repr=False)
    device: str | None = None
    remember: bool = False


def make_router(
    owner: "ClusterPass", path: str, authenticate: Authenticate | None, *, throttle: bool
) -> Router:
    """Return the router of ``owner`` below ``path``."""
    gate = owner.gate

    @post("/refresh", status_code=200, summary="Exchange a refresh token for new tokens")
    async def refresh(request: Visitor) -> Response[Any]:
        token = await _refresh_token(request)
        return await owner.answer(endpoints.refresh(gate, visit_of(request), token))

    @post("/logout", status_code=204, summary="End the session of the request")
    async def log_out(request: Visitor) -> Response[None]:
        token = await owner.form_token(request)
        return await owner.answer(endpoints.logout(gate, visit_of(request), form_token=token))

    @post("/logout-all", status_code=200, summary="End every session of the caller")
    async def log_out_everywhere(request: Visitor) -> Response[Any]:
        token = await owner.form_token(request)
        return await owner.answer(
            endpoints.logout_everywhere(gate, visit_of(request), form_token=token)
        )

    guards = [requires()]

    @get("/devices", guards=guards, summary="List the caller's sessions, newest first")
    async def devices(request: Visitor) -> Response[Any]:
        return await owner.answer(endpoints.devices(gate, visit_of(request)))

    @delete(
        "/devices/{session_id:str}",
        guards=guards,
        status_code=200,
        summary="End one session of the caller",
    )
    async def end_device(request: Visitor, session_id: FromPath[str]) -> Response[Any]:
        return await owner.answer(endpoints.end_device(gate, visit_of(request), session_id))

    handlers: list[Any] = [refresh, log_out, log_out_everywhere, devices, end_device]
    if authenticate is not None:
        handlers.append(_login_route(owner, authenticate, throttle=throttle))
    return Router(path, route_handlers=handlers, tags=["sessions"])


def _json_alone(connection: Connection, _: BaseRouteHandler) -> None:
    """Refuse other bodies than JSON, which forms of any site could send: Litestar parses them."""
    kinds = visit_of(connection).request.header("content-type")
    if [kind.partition(";")[0].strip().lower() for kind in kinds] != ["application/json"]:
        raise HTTPException("Send the body as application/json.", status_code=415)


def _login_route(owner: "ClusterPass", authenticate: Authenticate, *, throttle: bool) -> Any:
    def refuse_nested(request: Visitor, _: Exception) -> Response[Any]:
        """Answer a body that is nested too deeply; an exception handler."""
        error = InvalidInput("the body is no JSON that can be read")
        return respond(endpoints.error_answer(owner.gate, visit_of(request).request, error))

    @post(
        "/login",
        guards=[_json_alone],
        status_code=200,
        summary="Log in: cookies for a browser, a body for an app",
        exception_handlers={RecursionError: refuse_nested},
    )
    async def log_in(request: Visitor, data: JSONBody[LoginBody]) -> Response[Any]:
        if throttle:
            await owner.count_attempt(request, data.username)
        note = partial(owner.login_failed, request, data.username)
        try:
            own = await ask_application(authenticate, data.username, data.password, note)
        except RecursionError as error:  # which is none of the body
            raise RuntimeError("authenticate calls itself without end") from error
        options = {"device": data.device, "remember": data.remember, **own}
        return await owner.log_in(request, options.pop("subject"), **options)

    return log_in


async def _refresh_token(request: Visitor) -> Any:
    if not is_json(visit_of(request).request):
        return None
    return json_member(await request.body(), "refresh_token")
