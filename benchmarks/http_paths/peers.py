"""The peer servers: how each is started, and what its check of a token covers."""

import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.load_requests import verifies
from benchmarks.http_paths.setup_client import Visitor
from benchmarks.http_paths.store_cpu import Store
from benchmarks.web import free_port, running
from clusterpass import EmbeddedCluster

SESSIONS: Final = 1_000
_NODE: Final = Path(__file__).parents[1] / "peers" / "node"
_PYTHON: Final = (sys.executable, "-m")


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer server, and what its check of a token covers."""

    label: str
    command: Callable[[int], list[str]]
    """Which listens on that port."""
    packages: tuple[str, ...]
    check: str
    """What it asks, and what it does not do."""
    asks_redis: bool = True
    on_node: bool = False
    """Whether its packages are those of Node.js, by the lock file."""

    def versions(self) -> str:
        """Its packages, as installed here."""
        return ", ".join(f"{name} {self._version(name)}" for name in self.packages)

    def _version(self, name: str) -> str:
        if not self.on_node:
            return version(name)
        text = (_NODE / "node_modules" / name / "package.json").read_text("utf-8")
        return str(json.loads(text)["version"])


def granian(target: str) -> Callable[[int], list[str]]:
    """One worker of the server that ClusterPass has, too."""
    return lambda port: [
        *(*_PYTHON, "granian", "--interface", "asgi", "--http", "1", "--no-ws", "--no-log"),
        *("--port", str(port), f"benchmarks.peers.{target}"),
    ]


def _gunicorn(module: str) -> Callable[[int], list[str]]:
    return lambda port: [
        *(*_PYTHON, "gunicorn", f"benchmarks.peers.{module}:app", "--bind", f"127.0.0.1:{port}"),
        *("--worker-class", "gthread", "--threads", "8", "--log-level", "error"),
    ]


def _node(script: str) -> Callable[[int], list[str]]:
    return lambda port: ["node", str(_NODE / script), str(port)]


PEERS: Final = (
    Peer(
        "starsessions, granian",
        granian("starsessions_redis:app"),
        ("starsessions", "starlette"),
        "Reads the session from Redis and writes it back with every request. A logout that runs "
        "beside another request of the session can be undone by what that one writes.",
    ),
    Peer(
        "Litestar's sessions, granian",
        granian("litestar_sessions:app"),
        ("litestar",),
        "Reads the session from Redis and writes it back with every request, with the same race "
        "as above.",
    ),
    Peer(
        "fastapi-users, granian",
        granian("fastapi_users_redis:app"),
        ("fastapi-users", "fastapi"),
        "Looks an opaque token up in Redis. Its users are in memory here; with a database, a "
        "query follows.",
    ),
    Peer(
        "Flask-JWT-Extended, gunicorn",
        _gunicorn("flask_jwt_extended_redis"),
        ("flask-jwt-extended", "flask"),
        "Checks the signature (HS256) and looks in Redis for an entry on a blocklist: what is "
        "lost there is a revocation, and the token is valid again.",
    ),
    Peer(
        "Django's sessions, gunicorn",
        _gunicorn("django_sessions"),
        ("django",),
        "Reads the session from Django's Redis cache; no user is looked up. The other backend "
        "that reads a cache, `cached_db`, has the same read.",
    ),
    Peer(
        "simplejwt with its blacklist, gunicorn",
        _gunicorn("simplejwt_blacklist"),
        ("djangorestframework-simplejwt", "djangorestframework"),
        "Sliding tokens (HS256); one query looks in the blacklist, one for the user. The database "
        "is SQLite, in the process itself: the queries are part of its processor time, and "
        "cheaper than with a server. Its access tokens would not be looked up at all.",
        asks_redis=False,
    ),
    Peer(
        "express-session with connect-redis, Node",
        _node("express_session.js"),
        ("express-session", "connect-redis", "express"),
        "Reads the session from Redis and prolongs it there with every request.",
        on_node=True,
    ),
    Peer(
        "better-auth, Express on Node",
        _node("better_auth.js"),
        ("better-auth", "@better-auth/redis-storage", "express"),
        "Reads the session and the time of the user's last general revocation from Redis, its "
        "secondary storage. Its database is its memory adapter, which a check does not ask. With "
        "its cookie cache, which is off by default, it would ask nothing and would not notice a "
        "logout for minutes.",
        on_node=True,
    ),
)


def start(
    peer: Peer, single: EmbeddedCluster, folder: Path, stack: ExitStack, store: Store
) -> Candidate:
    """``peer`` with sessions of its own; the store is the server ``single``."""
    port = free_port()
    environment = {
        "SECRET": secrets.token_hex(32),
        "REDIS_URL": f"redis://{single.nodes[0].address}",
        "DATABASE_FILE": str(folder / f"{port}.sqlite"),
        "NODE_ENV": "production",
    }
    process = stack.enter_context(running(peer.command(port), port, environment))
    visitor = Visitor(port)
    notices = visitor.notices_logout()
    lines = [visitor.log_in() for _ in range(SESSIONS)]
    visitor.close()
    return Candidate(peer.label, process.pid, port, verifies(lines), store, notices, most=SESSIONS)


def install_node_packages() -> str:
    """Install what the lock file names, unless it is there; say why not, or nothing."""
    npm = shutil.which("npm")
    if shutil.which("node") is None or npm is None:
        return "node and npm are not installed"
    lock, installed = _NODE / "package-lock.json", _NODE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--silent"], cwd=_NODE, check=True)
    return ""


def node_version() -> list[str]:
    """The name and version of Node.js, if it is installed."""
    node = shutil.which("node")
    if node is None:
        return []
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return [f"Node.js {said.strip().removeprefix('v')}"]
