"""Envoy's authorization messages: reads a CheckRequest, and writes an answer as a CheckResponse.

Envoy describes the original request in attributes of the message, which no client can set. Every
value of a header comes on its own (``encode_raw_headers``), or they come joined by commas.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from clusterpass.service.asgi.messages import Headers
from clusterpass.service.asgi.request_log import REQUEST_ID
from clusterpass.service.asgi.security_headers import DEFAULTS
from clusterpass.service.authz.original_request import ENVOY_OVER_GRPC, Asked
from clusterpass.service.hot.responder import Answer

_POLICY: Final = "policy"
_RAW_PATH: Final = ":path"
_STATUS: Final = {200: 0, 302: 16, 401: 16, 403: 7, 503: 14}
"""The codes of gRPC (google.rpc.Code): OK, UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE."""
_INTERNAL: Final = 13
_SET_COOKIE: Final = b"set-cookie"
"""For the browser; all other headers of a 200 are for the upstream."""
_TOLD: Final = {
    "subject": b"x-auth-subject",
    "session": b"x-auth-session",
    "level": b"x-auth-level",
    "actor": b"x-auth-actor",
}
_SCOPE: Final = b"x-auth-scope"
_APPEND: Final = HeaderValueOption.APPEND_IF_EXISTS_OR_ADD
_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_NOT_PASSED_ON: Final = frozenset({b"content-length", b"server"})
"""What Envoy writes itself."""


def policy_in(request: Any) -> str:
    """Return the name of the policy that the route of Envoy names; empty: it names none."""
    name: str = request.attributes.context_extensions.get(_POLICY, "")
    return name


def source_in(request: Any) -> str:
    """Return the address of the client as Envoy sees it."""
    address: str = request.attributes.source.address.socket_address.address
    return address


def headers_in(request: Any) -> dict[str, list[str]]:
    """Return the values of each header, by its name in lower case; each character is a byte."""
    http = request.attributes.request.http
    if not http.HasField("header_map"):
        return {name.lower(): [_as_bytes(value)] for name, value in http.headers.items()}
    found: dict[str, list[str]] = {}
    for each in http.header_map.headers:
        value = each.raw_value.decode("latin-1") or _as_bytes(each.value)
        found.setdefault(each.key.lower(), []).append(value)
    return found


def asked_in(request: Any, headers: Mapping[str, Sequence[str]], *, is_trusted: bool) -> Asked:
    """Return what Envoy says of the original request.

    ``headers``: those of the request. ``is_trusted``: whether a trusted proxy sent it.
    """
    http = request.attributes.request.http
    known = {**headers, "host": [http.host] if http.host else []}
    if http.scheme:
        known.setdefault("x-forwarded-proto", [http.scheme])
    # In the attribute, Envoy replaces what is not UTF-8.
    raw = headers.get(_RAW_PATH)
    path = raw[0] if raw else _as_bytes(http.path)
    return Asked(
        "request", is_trusted, known, method=http.method, suffix=path, proxy=ENVOY_OVER_GRPC
    )


def _as_bytes(text: str) -> str:
    """Return ``text`` with a character for each byte of UTF-8, as what came over HTTP has."""
    return text if text.isascii() else text.encode().decode("latin-1")


def peer_address(peer: str) -> str | None:
    """Return the IP address in the name that gRPC has for a peer, such as ``ipv4:10.0.0.1:4711``.

    None where the peer has none.
    """
    family, _, place = unquote(peer).partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    return place.rpartition(":")[0].strip("[]") or None


def response_of(answer: Answer, this_id: bytes) -> Any:
    """Return the message that has Envoy forward the request, or give ``answer`` to its client.

    ``this_id``: the id of the request.
    """
    code = _STATUS.get(answer.status, _INTERNAL)
    if code == 0:
        return CheckResponse(
            status={"code": code},
            ok_response={
                "headers": _options(each for each in answer.headers if each[0] != _SET_COOKIE),
                # Beside the cookies that the application sets.
                "response_headers_to_add": _options(
                    (each for each in answer.headers if each[0] == _SET_COOKIE), _APPEND
                ),
            },
            dynamic_metadata=_metadata(dict(answer.headers)),
        )
    headers: Headers = [*answer.headers, *DEFAULTS, (REQUEST_ID, this_id)]
    return CheckResponse(
        status={"code": code},
        denied_response={
            "status": {"code": answer.status},
            "headers": _options(headers),
            "body": answer.body.decode(),
        },
    )


def _metadata(headers: Mapping[bytes, bytes]) -> dict[str, str | list[str]] | None:
    """Return what other filters and the access log of Envoy learn of who calls.

    ``headers``: those for the upstream. Every value is written as there, so that no subject can
    break a line of a log. None where nobody is identified.
    """
    told: dict[str, str | list[str]] = {
        key: headers[name].decode("latin-1") for key, name in _TOLD.items() if headers.get(name)
    }
    if "subject" not in told:
        return None
    told["scopes"] = headers.get(_SCOPE, b"").decode("latin-1").split()
    return told


def with_header(response: Any, name: bytes, value: bytes) -> Any:
    """Return a copy of the ``response`` to a request that passes, with one header more for the
    upstream."""
    copy = CheckResponse()
    copy.CopyFrom(response)
    copy.ok_response.headers.extend([HeaderValueOption(**_option(name, value, _OVERWRITE))])
    return copy


def _options(
    headers: Iterable[tuple[bytes, bytes]], action: Any = _OVERWRITE
) -> list[dict[str, Any]]:
    return [_option(*each, action) for each in headers if each[0] not in _NOT_PASSED_ON]


def _option(name: bytes, value: bytes, action: Any) -> dict[str, Any]:
    return {
        "header": {"key": name.decode("latin-1"), "value": value.decode("latin-1")},
        "append_action": action,
        "keep_empty_value": True,
    }
