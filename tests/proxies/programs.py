"""The proxies: each is started by its program, with the files of ``deploy/``.

Nothing in the files is changed but the port numbers, so that several runs fit on one machine, and
the folder of Apache, which has to be written in full.
"""

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import httpx
import pytest

from tests.ports import free_port

HOST: Final = "app.localhost"
DEPLOY: Final = Path(__file__).parents[2] / "deploy"
REQUIRED_VARIABLE: Final = "REQUIRE_PROXIES"
"""Set by the Makefile: a proxy that is not installed is then a failure."""
PROXY, SERVICE, GRPC, APP, _INTERNAL = 8080, 8000, 8001, 9000, 8081
"""The ports in the files."""
_LONGEST: Final = 30.0
_ONE_ENVOY: Final = ("--use-dynamic-base-id", "--concurrency", "1")

_NGINX: Final = """
daemon off;
pid nginx.pid;
worker_processes 1;
events {}
http {
    access_log off;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp;
    uwsgi_temp_path temp; scgi_temp_path temp;
    include conf.d/*.conf;
}
"""
"""What Debian's nginx.conf does around conf.d, but in a folder of the test."""


def _prepare_nginx(folder: Path) -> dict[str, str]:
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + _NGINX)
    return {}


_APACHE: Final = """
DefaultRuntimeDir .
PidFile apache2.pid
ErrorLog /dev/stderr
LoadModule mpm_event_module modules/mod_mpm_event.so
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule setenvif_module modules/mod_setenvif.so
LoadModule lua_module modules/mod_lua.so
LoadModule proxy_module modules/mod_proxy.so
LoadModule proxy_http_module modules/mod_proxy_http.so
Include sites-available/*.conf
"""
"""What Debian's apache2.conf does, with the modules of the guide, but in a folder of the test."""


def _prepare_apache(folder: Path) -> dict[str, str]:
    # Workers give up the rights of root, and could not read a folder of pytest's.
    readable = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, readable)
    readable.chmod(0o755)
    shutil.copytree(folder / "clusterpass", readable / "clusterpass")
    for file in folder.glob("sites-available/*"):
        file.write_text(file.read_text().replace("/etc/apache2", str(readable)))
    (folder / "modules").symlink_to("/usr/lib/apache2/modules")
    user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
    (folder / "apache2.conf").write_text(f"ServerRoot {folder}\n{user}{_APACHE}")
    return {"APACHE_LOG_DIR": str(folder)}


def _prepare_caddy(folder: Path) -> dict[str, str]:
    return {
        "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
        "XDG_CONFIG_HOME": str(folder),
        "XDG_DATA_HOME": str(folder),
    }


def _nothing(folder: Path) -> dict[str, str]:
    return {}


@dataclass(frozen=True)
class Program:
    """The start of a proxy, in a folder that holds its files."""

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path], dict[str, str]] = _nothing
    """Adds to the folder what the files do not hold; returns variables for the environment."""
    for_browsers: tuple[str, str] | None = None
    """The file that takes the place of another one where browsers are led to the page."""
    command: str = ""
    """The name of the program; empty: that of the proxy."""
    files: str = ""
    """The folder of its files in ``deploy/``; empty: the name of the proxy."""

    @property
    def folder(self) -> str:
        """The name of the folder in ``deploy/``."""
        return self.files or self.name


PROGRAMS: Final = {
    program.name: program
    for program in (
        Program(
            "nginx",
            ("-p", ".", "-e", "stderr", "-c", "nginx.conf"),
            _prepare_nginx,
            for_browsers=("browsers/app.conf", "conf.d/app.conf"),
        ),
        Program(
            "caddy",
            ("run", "--config", "Caddyfile"),
            _prepare_caddy,
            for_browsers=("browsers/Caddyfile", "Caddyfile"),
        ),
        Program(
            "traefik",
            ("--configFile=traefik.yml", "--global.checkNewVersion=false"),
            for_browsers=("browsers/dynamic.yml", "dynamic.yml"),
        ),
        Program(
            "envoy",
            ("-c", "envoy.yaml", *_ONE_ENVOY),
            for_browsers=("browsers/envoy.yaml", "envoy.yaml"),
        ),
        Program(
            "envoy-grpc", ("-c", "envoy-grpc.yaml", *_ONE_ENVOY), command="envoy", files="envoy"
        ),
        Program(
            "haproxy",
            ("-db", "-f", "haproxy.cfg"),
            for_browsers=("browsers/haproxy.cfg", "haproxy.cfg"),
        ),
        Program(
            "apache",
            ("-D", "FOREGROUND", "-d", ".", "-f", "apache2.conf"),
            _prepare_apache,
            for_browsers=("browsers/app.conf", "sites-available/app.conf"),
            command="apache2",
        ),
    )
}


@dataclass
class Proxy:
    """A proxy that runs."""

    name: str
    port: int
    log_file: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def locate(name: str) -> str | None:
    """Return the path of a program, or of that of a proxy; None when it is not installed."""
    command = PROGRAMS[name].command if name in PROGRAMS else ""
    places = [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"]
    return shutil.which(command or name, path=os.pathsep.join(places))


def require(name: str) -> None:
    """Skip the test when a program is not installed; fail it under make, which installs it."""
    if locate(name) is None:
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed; make test-setup installs it")


@contextmanager
def proxying(
    name: str,
    service_port: int,
    grpc_port: int,
    app_port: int,
    folder: Path,
    *,
    port: int | None = None,
    for_browsers: bool = False,
    changes: Mapping[str, str] = MappingProxyType({}),
    edit: Callable[[Path], object] = _nothing,
) -> Iterator[Proxy]:
    """Start a proxy in front of an application, asking the service; it is ended at the end.

    ``edit``: edits the files in their folder, for who measures something else than the tests.
    """
    program, command = PROGRAMS[name], locate(name)
    assert command is not None
    port = port or free_port()
    ports = {PROXY: port, SERVICE: service_port, GRPC: grpc_port, APP: app_port}
    ports[_INTERNAL] = free_port()
    shutil.copytree(DEPLOY / program.folder, folder)
    if for_browsers:
        assert program.for_browsers is not None
        given, place = program.for_browsers
        (folder / given).replace(folder / place)
    edit(folder)
    for file in folder.rglob("*"):
        if file.is_file():
            text = with_ports(file.read_text(), ports)
            for given, other in changes.items():
                text = text.replace(given, other)
            file.write_text(text)
    environment = {**os.environ, **program.prepare(folder)}
    log_file = folder / "log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [command, *program.arguments], cwd=folder, env=environment, stdout=log, stderr=log
        )
    proxy = Proxy(name, port, log_file, process)
    try:
        wait_for_port(process, port, log_file)
        _wait_for_routes(proxy)
        yield proxy
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def with_ports(text: str, ports: dict[int, int]) -> str:
    """Return a file with other port numbers."""
    return re.sub(r"\b\d{4}\b", lambda found: str(ports.get(int(found[0]), found[0])), text)


def _wait_for_routes(proxy: Proxy) -> None:
    """Traefik listens before it has read its files."""
    deadline = time.monotonic() + _LONGEST
    while httpx.get(proxy.url, headers={"Host": HOST}, timeout=_LONGEST).status_code == 404:
        assert time.monotonic() < deadline, proxy.log_file.read_text()
        time.sleep(0.02)


def wait_for_port(process: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    """Return when a process listens on its port; fail with its log when it does not."""
    deadline = time.monotonic() + _LONGEST
    while True:
        assert process.poll() is None, log_file.read_text()
        assert time.monotonic() < deadline, log_file.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
