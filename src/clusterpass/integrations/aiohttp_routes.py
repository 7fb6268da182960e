"""The routes of aiohttp for refresh, logout and the list of devices; login is the application's."""

from typing import TYPE_CHECKING, Any

from aiohttp import web

from clusterpass.integrations.aiohttp_requests import respond, visit_of
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.json_bodies import is_json, json_member
from clusterpass.web.messages import WebAnswer

if TYPE_CHECKING:
    from clusterpass.integrations.aiohttp import ClusterPass


def make_routes(owner: "ClusterPass", prefix: str) -> list[web.RouteDef]:
    """Return the routes every application needs, below ``prefix``."""
    handlers = _Handlers(owner)
    return [
        web.post(f"{prefix}/refresh", handlers.refresh),
        web.post(f"{prefix}/logout", handlers.log_out),
        web.post(f"{prefix}/logout-all", handlers.log_out_everywhere),
        web.get(f"{prefix}/devices", handlers.devices),
        web.delete(f"{prefix}/devices/{{session_id}}", handlers.end_device),
    ]


class _Handlers:
    """The handlers of the routes of one application."""

    def __init__(self, owner: "ClusterPass") -> None:
        self._owner = owner

    async def _answer(self, flow: WebFlow[WebAnswer]) -> web.Response:
        return respond(await run_async(self._owner.sessions, flow))

    async def refresh(self, request: web.Request) -> web.Response:
        return await self._answer(
            endpoints.refresh(self._owner.gate, visit_of(request), await _refresh_token(request))
        )

    async def log_out(self, request: web.Request) -> web.Response:
        token = await self._owner.form_token(request)
        return await self._answer(
            endpoints.logout(self._owner.gate, visit_of(request), form_token=token)
        )

    async def log_out_everywhere(self, request: web.Request) -> web.Response:
        token = await self._owner.form_token(request)
        return await self._answer(
            endpoints.logout_everywhere(self._owner.gate, visit_of(request), form_token=token)
        )

    async def devices(self, request: web.Request) -> web.Response:
        return await self._answer(endpoints.devices(self._owner.gate, visit_of(request)))

    async def end_device(self, request: web.Request) -> web.Response:
        session_id = request.match_info["session_id"]
        return await self._answer(
            endpoints.end_device(self._owner.gate, visit_of(request), session_id)
        )


async def _refresh_token(request: web.Request) -> Any:
    if not is_json(visit_of(request).request):
        return None
    return json_member(await request.read(), "refresh_token")
