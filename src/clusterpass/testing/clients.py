"""Logs in the test client of any framework, without a request.

Clients are recognised by their attributes, so that no framework needs to be installed: those of
Flask (and Werkzeug), Django (and Django REST framework), Starlette, FastAPI and Litestar (httpx),
aiohttp, and Quart; and the stubs and channels of gRPC.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields
from functools import partial
from inspect import iscoroutinefunction
from typing import Any, Final, Unpack

from clusterpass.config import Config
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.values import TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.testing.grpc_clients import is_grpc, metadata_of
from clusterpass.web.gate import Gate
from clusterpass.web.settings import WebSettings

_AUTHORIZATION: Final = "Authorization"
_HEADERS: Final = "_clusterpass_headers"


def settings_of(store_url: str, config: Config) -> dict[str, Any]:
    """Return the settings of an integration on plain HTTP, in capitals, whose managers are as
    ``config`` says."""
    chosen = {
        each.name.upper(): getattr(config, each.name)
        for each in fields(config)
        if each.init and getattr(config, each.name) != each.default
    }
    return {**chosen, "STORE_URL": store_url, "COOKIE_SECURE": False}


class LoginAs:
    """Logs subjects in, and has clients send their tokens."""

    def __init__(self, sessions: SessionManager, web: WebSettings) -> None:
        """``sessions``: of the same store and namespace as the application's; ``web``: how the
        application uses cookies."""
        self._sessions = sessions
        self._gate: Final = Gate(sessions.config, web)

    def __call__(
        self, client: Any, subject: str, *, cookies: bool = False, **options: Unpack[LoginOptions]
    ) -> TokenPair:
        """Log ``subject`` in and return the tokens, which every request of ``client`` then has.

        ``cookies``: whether the client is a browser: it has the cookies of a login, and sends the
        CSRF token with every request. Otherwise it sends the access token in the Authorization
        header. A gRPC stub has the token in the metadata of its calls, and so have the stubs that
        are made of a channel afterwards. ``options``: those of ``SessionManager.login``. Raises
        TypeError for a client of an unknown kind and for cookies of gRPC, and what ``login``
        raises.
        """
        if cookies and is_grpc(client):
            raise TypeError("gRPC has no cookies")
        pair = self._sessions.login(subject, **options)
        if not cookies:
            _send_header(client, _AUTHORIZATION, f"Bearer {pair.access_token}")
            return pair
        _drop_header(client, _AUTHORIZATION)  # of a former login, which would count
        names = self._gate.settings.cookies
        values = {names.access.name: pair.access_token, names.refresh.name: pair.refresh_token}
        if self._gate.csrf is not None:
            token = self._gate.csrf.make(pair.session_id)
            values[names.csrf.name] = token
            _send_header(client, self._gate.settings.csrf_header, token)
        _send_cookies(client, values)
        return pair


def _headers_of(client: Any, name: str) -> tuple[MutableMapping[str, str], str]:
    """The headers that ``client`` sends with every request, and the key of ``name`` in them."""
    if is_grpc(client):
        return metadata_of(client), name.lower()
    wsgi = f"HTTP_{name.upper().replace('-', '_')}"
    if isinstance(getattr(client, "environ_base", None), dict):  # Flask
        return client.environ_base, wsgi
    if isinstance(getattr(client, "defaults", None), dict):  # Django
        is_asynchronous = iscoroutinefunction(getattr(client, "request", None))
        return client.defaults, name if is_asynchronous else wsgi
    if _is_aiohttp(client):
        return client.session.headers, name
    if hasattr(client, "headers"):  # httpx
        return client.headers, name
    if hasattr(client, "cookie_jar") and hasattr(client, "open"):
        return _headers_of_quart(client), name
    raise TypeError(f"{type(client).__name__} is no test client that ClusterPass knows")


def _send_header(client: Any, name: str, value: str) -> None:
    """Have ``client`` send a header with every request."""
    headers, key = _headers_of(client, name)
    headers[key] = value


def _drop_header(client: Any, name: str) -> None:
    """Have ``client`` send a header no more."""
    headers, key = _headers_of(client, name)
    headers.pop(key, None)


def _send_cookies(client: Any, values: Mapping[str, str]) -> None:
    """Give ``client`` cookies."""
    keep: Callable[[str, str], object]
    if _is_aiohttp(client):
        client.session.cookie_jar.update_cookies(values, client.make_url("/"))
        return
    if hasattr(client, "set_cookie"):  # Flask and Quart
        is_quart = not hasattr(client, "environ_base")
        keep = (
            (lambda *each: client.set_cookie("localhost", *each)) if is_quart else client.set_cookie
        )
    elif hasattr(client, "cookies") and hasattr(client.cookies, "jar"):  # httpx
        for cookie in [each for each in client.cookies.jar if each.name in values]:
            client.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
        # The domain under which the answers of a server without a dot in its name are kept.
        host = client.base_url.host
        domain = host if "." in host else f"{host}.local"
        keep = partial(client.cookies.set, domain=domain)
    else:  # Django
        keep = client.cookies.__setitem__
    for name, value in values.items():
        keep(name, value)


def _is_aiohttp(client: Any) -> bool:
    """Return whether ``client`` is that of aiohttp; Django's would make a session if asked."""
    return hasattr(client, "make_url") and hasattr(client.session, "cookie_jar")


def _headers_of_quart(client: Any) -> dict[str, str]:
    """Return the headers that a client of Quart, which has none of its own, always sends."""
    known: dict[str, str] | None = getattr(client, _HEADERS, None)
    if known is not None:
        return known
    always: dict[str, str] = {}
    open_ = client.open

    async def send(*arguments: Any, headers: Any = None, **options: Any) -> Any:
        return await open_(*arguments, headers={**always, **dict(headers or {})}, **options)

    client.open = send
    setattr(client, _HEADERS, always)
    return always
