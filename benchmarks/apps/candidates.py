"""The apps that are compared: their names, sources, libraries and servers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
PEERS = "benchmarks/peers"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An app to compare: its name, libraries, sources, server, and details of its cookies."""

    name: str
    framework: str
    library: str
    """As the head of its column."""
    sources: tuple[str, ...]
    """Its files, from the root of the repository; the first has ``app``."""
    server: Literal["wsgi", "asgi", "aiohttp"]
    requirements: tuple[str, ...]
    """What a user would install."""
    csrf_cookie: str = "clusterpass-csrf"
    refresh_csrf_cookie: str = "clusterpass-csrf"
    csrf_header: str = "X-CSRF-Token"
    access_cookie: str = "clusterpass-access"
    by_hand: frozenset[str] = field(default=frozenset())
    """The checks that code of the app's own passes, where the library has nothing."""

    @property
    def ours(self) -> bool:
        """Whether it stands on ClusterPass."""
        return self.library == "ClusterPass"


def _shop(framework: str, server: Literal["wsgi", "asgi", "aiohttp"], extra: str = "") -> Candidate:
    name = framework.lower()
    return Candidate(
        name=f"{name}_shop",
        framework=framework,
        library="ClusterPass",
        sources=(f"examples/{name}_shop/app.py",),
        server=server,
        requirements=(f"clusterpass[{extra or name}]",),
    )


_SESSIONS_BY_HAND = frozenset({"devices", "end_device", "end_all", "kick", "told"})
FLASK_JWT_EXTENDED = Candidate(
    name="flask_jwt_extended_shop",
    framework="Flask",
    library="Flask-JWT-Extended",
    sources=(f"{PEERS}/flask_jwt_extended_shop.py",),
    server="wsgi",
    requirements=("flask-jwt-extended", "flask-sqlalchemy"),
    csrf_cookie="csrf_access_token",
    refresh_csrf_cookie="csrf_refresh_token",
    csrf_header="X-CSRF-TOKEN",
    access_cookie="access_token_cookie",
    by_hand=_SESSIONS_BY_HAND - {"told"},
)
FASTAPI_USERS = Candidate(
    name="fastapi_users_shop",
    framework="FastAPI",
    library="fastapi-users",
    sources=(f"{PEERS}/fastapi_users_shop.py",),
    server="asgi",
    requirements=("fastapi-users", "fastapi-users-db-sqlalchemy", "aiosqlite"),
    csrf_cookie="csrf",
    refresh_csrf_cookie="csrf",
    access_cookie="fastapiusersauth",
    by_hand=_SESSIONS_BY_HAND | {"csrf", "csrf_of_another"},
)
SIMPLEJWT = Candidate(
    name="simplejwt_shop",
    framework="Django",
    library="simplejwt",
    sources=tuple(
        f"{PEERS}/simplejwt_shop/{file}.py" for file in ("app", "authentication", "models")
    ),
    server="wsgi",
    requirements=("djangorestframework-simplejwt",),
    csrf_cookie="csrftoken",
    refresh_csrf_cookie="csrftoken",
    csrf_header="X-CSRFToken",
    access_cookie="access_token",
    by_hand=_SESSIONS_BY_HAND
    | {"browser_login", "browser_refresh", "csrf", "csrf_of_another", "logout"},
)
CANDIDATES = (
    _shop("Flask", "wsgi"),
    FLASK_JWT_EXTENDED,
    _shop("FastAPI", "asgi"),
    FASTAPI_USERS,
    _shop("Django", "wsgi", "drf"),
    SIMPLEJWT,
    _shop("aiohttp", "aiohttp"),
    _shop("Litestar", "asgi"),
    _shop("Quart", "asgi"),
)


def find(name: str) -> Candidate:
    """The candidate of that name."""
    return next(each for each in CANDIDATES if each.name == name)
