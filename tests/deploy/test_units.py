"""The systemd unit, checked by systemd itself, and the service under its restrictions."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from clusterpass.service.settings.loading import make_settings
from clusterpass.tokens.key_encryption import new_encryption_key
from tests.ports import free_port

from ..service.conftest import COMMAND, command_environment
from .programs import DEPLOY, program, run, said

UNIT = DEPLOY / "systemd" / "clusterpass@.service"
MOST_EXPOSURE = 15
"""Tenths of what ``systemd-analyze security`` calls exposure, which ends at 100."""


def test_systemd_accepts_every_line(tmp_path):
    # It wants the program to be there.
    text = UNIT.read_text("utf-8").replace("/opt/clusterpass/bin/clusterpass", "/bin/true")
    copy = tmp_path / "clusterpass@8000.service"
    copy.write_text(text)
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", copy)
    about_us = [line for line in said(done).splitlines() if "clusterpass@" in line]
    assert about_us == []


def test_the_unit_with_keys_in_the_store(tmp_path):
    """Without the drop-in, systemd would look for a file of keys that is not there."""
    text = UNIT.read_text("utf-8").replace("/opt/clusterpass/bin/clusterpass", "/bin/true")
    unit, more = tmp_path / "clusterpass@8000.service", UNIT.with_name("managed-keys.conf")
    unit.write_text(text)
    folder = tmp_path / f"{unit.name}.d"
    folder.mkdir()
    dropped = more.read_text("utf-8")
    (folder / more.name).write_text(dropped)
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit)
    assert [line for line in said(done).splitlines() if "managed-keys.conf" in line] == []
    assert re.findall(r"^LoadCredential=(\w*)", dropped, re.M)[0] == "", "those of the unit go"
    page = (DEPLOY.parent / "docs/howto/managed-keys.md").read_text("utf-8")
    assert f"```ini\n{dropped}```" in page
    # The unit still names a file of keys, which is not read.
    settings = make_settings(
        {
            "managed_keys": True,
            "keys_file": "/nowhere/keys.json",
            "key_encryption_keys": new_encryption_key(),
        }
    )
    assert settings.session_config()


def test_systemd_would_object(tmp_path):
    copy = tmp_path / "clusterpass@8000.service"
    copy.write_text(UNIT.read_text("utf-8").replace("PrivateTmp=yes", "PrivateTemp=yes"))
    done = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", copy)
    assert "PrivateTemp" in said(done)


def test_little_of_the_system_is_exposed():
    done = run(
        "systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", UNIT
    )
    assert "Overall exposure level" in said(done)
    assert done.returncode == 0, said(done).splitlines()[-1]


def test_the_unit_waits_longer_than_the_service_takes_to_stop():
    from clusterpass.service.supervisor import GRACE_SECONDS

    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT.read_text("utf-8"), re.M)
    assert int(seconds) > GRACE_SECONDS


def test_the_secrets_are_handed_over_as_credentials_under_the_names_of_settings():
    from clusterpass.service.settings.loading import CONFIG_VARIABLE, PREFIX
    from clusterpass.service.settings.service import Settings

    text = UNIT.read_text("utf-8")
    credentials = dict(re.findall(r"^LoadCredential=([\w.]+):(\S+)$", text, re.M))
    variables = dict(re.findall(r"^Environment=(\w+)=%d/(\S+)$", text, re.M))
    assert set(variables.values()) == set(credentials)
    known = {CONFIG_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
    assert set(variables) <= known


@pytest.mark.parametrize("line", ["Type=exec", "KillMode=mixed", "DynamicUser=yes"])
def test_what_the_supervisor_needs(line):
    assert line in UNIT.read_text("utf-8").splitlines()


def calls_in(group: str) -> set[str]:
    """The system calls of a group, those of the groups in it included."""
    found = set()
    for line in run("systemd-analyze", "syscall-filter", group).stdout.splitlines()[1:]:
        name = line.strip()
        if name.startswith("@"):
            found |= calls_in(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


NO_NEW_CODE = """
import ctypes, os, sys
refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE
os.execv(sys.argv[1], sys.argv[1:]) if not refused else sys.exit(77)
"""
"""Memory is never writable and executable, as with MemoryDenyWriteExecute, from Linux 6.3 on."""


@pytest.mark.alternating
def test_the_service_lives_with_what_it_is_allowed(cluster_url, keys_file, tmp_path):
    tracer, trace, port = program("strace"), tmp_path / "trace", free_port()
    command = [tracer, "-f", "-qq", "-e", "signal=none", "-o", str(trace)]
    command += [sys.executable, "-c", NO_NEW_CODE, *COMMAND, "serve", "--port", str(port)]
    environment = command_environment(cluster_url, keys_file)
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as traced:
        try:
            give_up_at = time.monotonic() + 60
            while not is_ready(port):
                if traced.poll() is not None:
                    pytest.skip(f"it cannot be traced here: {traced.stderr.read()}")
                assert time.monotonic() < give_up_at
                time.sleep(0.1)
            asked = {"username": "nobody", "password": "correct horse battery"}
            refused = httpx.post(f"http://127.0.0.1:{port}/login", json=asked, timeout=60)
            assert refused.status_code == 401
        finally:
            children = Path(f"/proc/{traced.pid}/task/{traced.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGTERM)
        assert traced.wait(60) == 0
    used = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text("utf-8", "replace"), re.M))
    assert {"execve", "accept4", "connect"} <= used
    text = UNIT.read_text("utf-8")
    (allowed,) = re.findall(r"^SystemCallFilter=(@.+)$", text, re.M)
    (denied,) = re.findall(r"^SystemCallFilter=~(.+)$", text, re.M)
    assert used <= calls_in("@default").union(*map(calls_in, allowed.split()))
    assert not used & set().union(*map(calls_in, denied.split()))


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
