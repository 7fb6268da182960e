"""The options of a login that come from the request: device, type of device and address."""

from typing import Any

from clusterpass.web.device import device_name, device_type
from clusterpass.web.gate import Gate
from clusterpass.web.messages import WebRequest


def login_options(gate: Gate, request: WebRequest, options: dict[str, Any]) -> dict[str, Any]:
    """Return ``options`` with what ``request`` tells, where they do not say it.

    The device name comes from users, whose login must not fail because of it: half a surrogate pair
    is replaced. (The login itself shortens a name that is too long.)
    """
    agents = request.header("user-agent")
    agent = agents[0] if agents else ""
    device = options.get("device") or device_name(agent)
    found = {
        "device_type": device_type(agent),
        "address": gate.address(request),
        **options,
        "device": None if device is None else device.encode(errors="replace").decode(),
    }
    return {name: value for name, value in found.items() if value is not None}
