"""The routes of Flask for refresh, logout and the list of devices; login is the application's."""

from flask import Blueprint, Response, request

from clusterpass.integrations.flask_requests import form_token, make_response, this_visit
from clusterpass.integrations.flask_state import extension_here
from clusterpass.web import endpoints
from clusterpass.web.flow import WebFlow, run
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


def _answer(flow: WebFlow[WebAnswer]) -> Response:
    return make_response(run(extension_here().sessions, flow))


def _refresh() -> Response:
    visit, token = this_visit(), None
    if is_json(visit.request):
        token = json_member(request.get_data(), "refresh_token")
    return _answer(endpoints.refresh(extension_here().gate, visit, token))


def _log_out() -> Response:
    extension = extension_here()
    return _answer(
        endpoints.logout(
            extension.gate,
            this_visit(),
            form_token=form_token(extension.gate, this_visit().request),
        )
    )


def _log_out_everywhere() -> Response:
    extension = extension_here()
    return _answer(
        endpoints.logout_everywhere(
            extension.gate,
            this_visit(),
            form_token=form_token(extension.gate, this_visit().request),
        )
    )


def _devices() -> Response:
    return _answer(endpoints.devices(extension_here().gate, this_visit()))


def _end_device(session_id: str) -> Response:
    return _answer(endpoints.end_device(extension_here().gate, this_visit(), session_id))
