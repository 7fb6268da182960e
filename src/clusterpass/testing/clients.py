"""Logs the client of a test in, of whichever framework, without a request.

The clients are told apart by what they have, so that no framework needs to be installed: those of
Flask (and Werkzeug), Django (and Django REST framework), Starlette, FastAPI and Litestar (httpx),
aiohttp, and Quart.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Unpack

from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.values import TokenPair
from clusterpass.sessions.options import LoginOptions
from clusterpass.web.gate import Gate
from clusterpass.web.settings import WebSettings

_AUTHORIZATION: Final = "Authorization"


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
        header. ``options``: those of ``SessionManager.login``. Raises TypeError for a client of an
        unknown kind, and what ``login`` raises.
        """
        pair = self._sessions.login(subject, **options)
        if not cookies:
            _send_header(client, _AUTHORIZATION, f"Bearer {pair.access_token}")
            return pair
        names = self._gate.settings.cookies
        values = {names.access.name: pair.access_token, names.refresh.name: pair.refresh_token}
        if self._gate.csrf is not None:
            token = self._gate.csrf.make(pair.session_id)
            values[names.csrf.name] = token
            _send_header(client, self._gate.settings.csrf_header, token)
        _send_cookies(client, values)
        return pair


def _send_header(client: Any, name: str, value: str) -> None:
    """Have ``client`` send a header with every request."""
    wsgi = f"HTTP_{name.upper().replace('-', '_')}"
    if isinstance(getattr(client, "environ_base", None), dict):  # Flask
        client.environ_base[wsgi] = value
    elif isinstance(getattr(client, "defaults", None), dict):  # Django
        client.defaults[wsgi] = value
    elif hasattr(client, "session") and hasattr(client.session, "cookie_jar"):  # aiohttp
        client.session.headers[name] = value
    elif hasattr(client, "headers"):  # httpx
        client.headers[name] = value
    elif hasattr(client, "cookie_jar") and hasattr(client, "open"):  # Quart
        _with_header(client, name, value)
    else:
        raise _unknown(client)


def _send_cookies(client: Any, values: Mapping[str, str]) -> None:
    """Give ``client`` cookies."""
    keep: Callable[[str, str], object]
    if hasattr(client, "session") and hasattr(client.session, "cookie_jar"):  # aiohttp
        client.session.cookie_jar.update_cookies(values, client.make_url("/"))
        return
    if hasattr(client, "set_cookie"):  # Flask and Quart
        is_quart = not hasattr(client, "environ_base")
        keep = (
            (lambda *each: client.set_cookie("localhost", *each)) if is_quart else client.set_cookie
        )
    elif hasattr(client, "cookies") and hasattr(client.cookies, "set"):  # httpx
        keep = client.cookies.set
    elif hasattr(client, "cookies"):  # Django
        keep = client.cookies.__setitem__
    else:
        raise _unknown(client)
    for name, value in values.items():
        keep(name, value)


def _with_header(client: Any, name: str, value: str) -> None:
    """Have a client of Quart, which has no headers of its own, send one with every request."""
    open_ = client.open

    async def send(*arguments: Any, headers: Any = None, **options: Any) -> Any:
        sent = dict(headers or {})
        sent.setdefault(name, value)
        return await open_(*arguments, headers=sent, **options)

    client.open = send


def _unknown(client: Any) -> TypeError:
    return TypeError(f"{type(client).__name__} is no test client that ClusterPass knows")
