"""Runs the application on granian: one supervising process, and the workers that serve requests.

- Settings, keys, the password check and the port are checked before a worker starts.
- The process loads the service once and forks the workers, which share what it has loaded. On
  Linux it then becomes ``supervisor.py``, which needs a tenth of the memory.
- SIGTERM and SIGINT shut the workers down gracefully; one that does not stop in time is killed.
"""

import errno
import multiprocessing
import os
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server import Server
from granian.server.mp import MPServer

from clusterpass import ConfigurationError
from clusterpass.service.app import create_app
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.reexec import SucceededServer, Succession
from clusterpass.service.settings.service import Settings
from clusterpass.service.supervisor import GRACE_SECONDS

_BACKLOG: Final = 4096
"""Connections that wait to be accepted, as far as the system allows."""
_OTHER_FILES: Final = 256
"""Open files of a worker besides the connections of its clients."""


def serve(
    settings: Settings, *, announce: Callable[[], None] | None = None, becomes_small: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigurationError when the service cannot start.

    ``announce`` is called once, when the port is open. ``becomes_small``: replace this program,
    once the workers run, with one that only supervises them; it then never returns, and exits with
    the status of the service.
    """
    if settings.password_check:
        # As with `python -m`, modules in the working directory can be imported.
        sys.path.insert(0, str(Path.cwd()))
    # Granian has threads for workers where Python has no global lock.
    can_become_small = sys.platform == "linux" and sys.executable and Server is MPServer
    last_keys = LastKeys.begin() if sys.platform == "linux" else None
    settings = settings.holding_secrets()
    app = create_app(settings, parent=_parent_of_workers(), last_keys=last_keys)
    address = check_addresses(settings)
    succession = None
    if becomes_small and can_become_small and last_keys is not None:
        succession = Succession.begin(settings, address, settings.workers, last_keys, _BACKLOG)
    server = _server(settings, address, succession)
    if announce is not None:
        server.on_startup(announce)
    server.serve(target_loader=lambda *_, **__: app, wrap_loader=False)


def serve_again(succession: Succession) -> None:
    """Fork the workers that are due, and become the supervisor again.

    Exits with status 1 when the service cannot start any more, as when its password check is gone.
    """
    settings: Settings = succession.settings
    try:
        app = create_app(
            settings,
            parent=_parent_of_workers(),
            is_successor=True,
            last_keys=succession.last_keys,
        )
    except ConfigurationError as error:
        sys.exit(f"clusterpass: {error.message}")
    server = _server(settings, succession.address, succession)
    server.serve(target_loader=lambda *_, **__: app, wrap_loader=False)


def _parent_of_workers() -> int:
    """Return the id of this process where workers are its children; 0: they are its threads."""
    return os.getpid() if Server is MPServer else 0


def _server(settings: Settings, address: str, succession: Succession | None) -> Any:
    if Server is MPServer:
        # Workers share what this process has loaded. Python 3.14 would start them otherwise.
        multiprocessing.set_start_method("fork", force=True)
    kind = Server if succession is None else partial(SucceededServer, succession=succession)
    return kind(
        "clusterpass.service.app",
        address=address,
        port=settings.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=int(settings.header_timeout * 1000)),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_most_connections(settings.max_connections),
        workers=settings.workers,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE_SECONDS,
        log_level=LogLevels.warning,
    )


def _most_connections(wanted: int) -> int:
    """Return how many connections a worker may accept; raise the limit of open files for them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, soft - _OTHER_FILES)
    return wanted


def check_addresses(settings: Settings, *, may_be_in_use: bool = False) -> str:
    """Return the IP address of ``host``.

    Raises ConfigurationError unless the service can listen on all addresses that its settings name.
    ``may_be_in_use``: somebody may listen there, such as the service that runs now.
    """
    grpc_host, grpc_port = settings.grpc_host_and_port()
    if grpc_port is not None:
        # A worker shares the port with others, and would share it with a stranger.
        _free_address(grpc_host, grpc_port, "authz_grpc_address", may_be_in_use=may_be_in_use)
    metrics_host, metrics_port = settings.metrics_host_and_port()
    if metrics_port is not None:
        _free_address(metrics_host, metrics_port, "metrics_address", may_be_in_use=may_be_in_use)
    return _free_address(settings.host, settings.port, "--port", may_be_in_use=may_be_in_use)


def _free_address(host: str, port: int, option: str, *, may_be_in_use: bool = False) -> str:
    """Return the IP address of ``host``; raise ConfigurationError unless ``port`` is free there.

    ``option``: what names the port.
    """
    named = "host" if option == "--port" else option
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConfigurationError(
            f"{named}: {host} cannot be resolved to an address; name one of this machine"
        ) from None
    with socket.socket(family, kind, protocol) as probe:
        # Accept a port in TIME_WAIT, but not one that another process listens on.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if not (may_be_in_use and error.errno == errno.EADDRINUSE):
                raise ConfigurationError(_why_not(error, host, port, option)) from None
    return str(address[0])


def _why_not(error: OSError, host: str, port: int, option: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another process; choose another with {option}"
    if error.errno == errno.EACCES:
        return f"port {port} requires privileges; choose one above 1023 with {option}"
    named = "host" if option == "--port" else option
    return f"{named}: cannot listen on {host} ({error.strerror}); name an address of this machine"
