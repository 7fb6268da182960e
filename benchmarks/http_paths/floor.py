"""The lower bound of the measurement: servers that return a constant."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.http_paths.candidates import Candidate
from benchmarks.http_paths.load_requests import verifies
from benchmarks.http_paths.peers import granian
from benchmarks.http_paths.store_cpu import Store
from benchmarks.peers.constant import BODY, HEADERS
from benchmarks.web import free_port, running

ASGI: Final = "a constant, ASGI on granian"
NGINX: Final = "a constant, nginx"


def start_constant(lines: Sequence[str], stack: ExitStack) -> Candidate:
    """The constant over ASGI; it receives the same requests as ours."""
    port = free_port()
    process = stack.enter_context(running(granian("constant:asgi")(port), port, {}))
    return Candidate(ASGI, process.pid, port, verifies(lines), Store(None, stack))


def find_nginx() -> str | None:
    """The program; Debian has it where not every user looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def nginx_version() -> list[str]:
    """Its name and version, if it is installed."""
    if (nginx := find_nginx()) is None:
        return []
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
    return [said.strip().rpartition(" ")[2].replace("/", " ")]


def start_nginx(nginx: str, lines: Sequence[str], folder: Path, stack: ExitStack) -> Candidate:
    """nginx with one worker that returns the same constant."""
    port = free_port()
    home = folder / "nginx"
    home.mkdir()
    (home / "nginx.conf").write_text(nginx_configuration(home, port))
    command = [nginx, "-p", str(home), "-c", str(home / "nginx.conf"), "-e", str(home / "errors")]
    process = stack.enter_context(running(command, port, {}))
    return Candidate(NGINX, process.pid, port, verifies(lines), Store(None, stack))


def nginx_configuration(home: Path, port: int) -> str:
    """A constant with the headers of the one in Python, and connections that stay open."""
    headers = "\n".join(
        f"      add_header {name} {value!r};"
        for name, value in HEADERS
        if name not in ("content-type", "content-length")
    )
    return f"""daemon off;
worker_processes 1;
pid {home}/pid;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location = /verify {{
      default_type application/json;
{headers}
      return 200 '{BODY.decode()}';
    }}
  }}
}}
"""
