"""Runs the application on granian: one process that watches, and the workers that serve.

- What can be wrong is found before a worker starts: settings, keys, the password check, the port.
- SIGTERM and SIGINT end the workers gracefully; whoever does not end in time is killed.
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
    """Serve until a signal says stop. Raises ConfigurationError when it could not start.

    ``announce`` is called once when the port is open.
    """
    if settings.password_check:
        # As with `python -m`: what lies in the working directory can be named.
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
    """The IP address of ``host``, on which ``port`` is free; ConfigurationError otherwise."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConfigurationError(f"host: {host} is no address of this machine") from None
    with socket.socket(family, kind, protocol) as probe:
        # Let a port in TIME_WAIT pass, but not one that somebody listens on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigurationError(_why_not(error, host, port)) from None
    return str(address[0])


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken by another program; choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges; choose one above 1023 with --port"
    return f"host: cannot listen on {host} ({error.strerror})"
