"""The systemd unit, judged by systemd itself without being started."""

import re

import pytest

from .programs import DEPLOY, run, said

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
    from clusterpass.service.settings.service import CONFIG_VARIABLE, PREFIX, Settings

    text = UNIT.read_text("utf-8")
    credentials = dict(re.findall(r"^LoadCredential=([\w.]+):(\S+)$", text, re.M))
    variables = dict(re.findall(r"^Environment=(\w+)=%d/(\S+)$", text, re.M))
    assert set(variables.values()) == set(credentials)
    known = {CONFIG_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
    assert set(variables) <= known


@pytest.mark.parametrize("line", ["Type=exec", "KillMode=mixed", "DynamicUser=yes"])
def test_what_the_supervisor_needs(line):
    assert line in UNIT.read_text("utf-8").splitlines()
