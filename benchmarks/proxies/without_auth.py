"""Edits the question out of the files of ``deploy/``: the baseline forwards every request."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final


def _line(text: str) -> re.Pattern[str]:
    return re.compile(rf"^ *{text}\n", re.MULTILINE)


_FILTER: Final = re.compile(
    r"^ *- name: envoy\.filters\.http\.ext_authz\n.*?(?=^ *- name: )", re.DOTALL | re.MULTILINE
)
_ASKING: Final = {
    "nginx": ("clusterpass/location.conf", _line(r"auth_request /_clusterpass;"), ""),
    "caddy": (
        "Caddyfile",
        re.compile(r"^\t\tforward_auth .*?^\t\t}\n", re.DOTALL | re.MULTILINE),
        "",
    ),
    "traefik": ("dynamic.yml", re.compile(r"\[per-address, clusterpass\]"), "[per-address]"),
    "envoy": ("envoy.yaml", _FILTER, ""),
    "envoy-grpc": ("envoy-grpc.yaml", _FILTER, ""),
    "haproxy": ("haproxy.cfg", _line(r"http-request lua\.clusterpass .*"), ""),
    "apache": ("sites-available/app.conf", _line(r"LuaHookAccessChecker .*"), ""),
}
"""For each proxy: the file, the pattern by which it asks the service, and its replacement."""


def without_question(name: str) -> Callable[[Path], None]:
    """Return what edits the question out of the files of a proxy, in their folder.

    Raises RuntimeError when they do not ask as expected: the measurement would be of something
    else.
    """
    file, asking, instead = _ASKING[name]

    def edit(folder: Path) -> None:
        text, found = asking.subn(instead, (folder / file).read_text())
        if found != 1:
            raise RuntimeError(f"{file} of {name} asks in a way that is not known here")
        (folder / file).write_text(text)

    return edit
