"""Runs the application on granian: one supervising process, and the workers that serve requests.

- Settings, keys, the password check and the port are checked before a worker starts.
- SIGTERM and SIGINT shut the workers down gracefully; one that does not stop in time is killed.
"""

import errno
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.log import LogLevels
from granian.server import Server

from clusterpass import (
    ConfigurationError,
)
from clusterpass.service.app import create_app
from clusterpass.service.settings.service import Settings

_GRACE_SECONDS: Final = 10


def serve(settings: Settings, *, announce: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError when the service cannot start.

    ``announce`` is called once, when the port is open.
    """
    if settings.password_check:
        # As with `python -m`, modules in the working directory can be imported.
        sys.path.insert(0, str(Path.cwd()))
    create_app(settings)
    address = _free_address(settings.host, settings.port)
    server = Server(
        "clusterpass.service.app",
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=settings.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=_GRACE_SECONDS,
        log_level=LogLevels.warning,
    )

    if announce is not None:
        server.on_startup(announce)

    parent = os.getpid()

    def application(*_: object, **__: object) -> Any:
        return create_app(settings, parent=parent)

    server.serve(target_loader=application, wrap_loader=False)


def _free_address(host: str, port: int) -> str:
    """Return the IP address of ``host``; raise ConfigurationError unless ``port`` is free there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConfigurationError(
            f"host: {host} cannot be resolved to an address; name one of this machine"
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        # Accept a port in TIME_WAIT, but not one that another process listens on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigurationError(_why_not(error, host, port)) from None
    return str(address[0])


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another process; choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} requires privileges; choose one above 1023 with --port"
    return f"host: cannot listen on {host} ({error.strerror})"
