"""The routes of Quart for refresh, logout and the list of devices; login is the application's."""

from quart import Blueprint, Response, request

from clusterpass.integrations.quart_requests import current_visit, respond
from clusterpass.integrations.quart_state import extension_here
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run_async
from clusterpass.web.json_bodies import is_json, json_member
from clusterpass.web.messages import WebAnswer


def make_blueprint(name: str) -> Blueprint:
    """Return a blueprint of that name with the routes every application needs."""
    blueprint = Blueprint(name, __name__)
    blueprint.post("/refresh")(_refresh)
    blueprint.post("/logout")(_log_out)
    blueprint.post("/logout-all")(_log_out_everywhere)
    blueprint.get("/devices")(_devices)
    blueprint.delete("/devices/<session_id>")(_end_device)
    return blueprint


async def _answer(flow: WebFlow[WebAnswer]) -> Response:
    return respond(await run_async(extension_here().sessions, flow))


async def _refresh() -> Response:
    visit, token = current_visit(), None
    if is_json(visit.request):
        token = json_member(await request.get_data(), "refresh_token")
    return await _answer(endpoints.refresh(extension_here().gate, visit, token))


async def _log_out() -> Response:
    token = await extension_here().form_token()
    return await _answer(endpoints.logout(extension_here().gate, current_visit(), form_token=token))


async def _log_out_everywhere() -> Response:
    token = await extension_here().form_token()
    return await _answer(
        endpoints.logout_everywhere(extension_here().gate, current_visit(), form_token=token)
    )


async def _devices() -> Response:
    return await _answer(endpoints.devices(extension_here().gate, current_visit()))


async def _end_device(session_id: str) -> Response:
    return await _answer(endpoints.end_device(extension_here().gate, current_visit(), session_id))
