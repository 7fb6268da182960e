"""The guide to proxies: its examples give the documented results behind every proxy."""

import os
import re
import subprocess

import pytest

from clusterpass import UserDirectory

from .programs import APP, DEPLOY, PROXY, SERVICE, require, with_ports

GUIDE = (DEPLOY.parent / "docs" / "howto" / "proxies.md").read_text("utf-8")
PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def demo(manager):
    UserDirectory(manager).add("demo", PASSWORD)
    return PASSWORD


def test_what_there_is_to_try(proxy, services, app_port, demo):
    require("curl")
    (block,) = re.findall(r"^```sh\n(TOKEN=.*?)^```", GUIDE, re.M | re.S)
    expected = [int(status) for status in re.findall(r"^curl -i .* # (\d{3})$", block, re.M)]
    assert len(expected) == len(re.findall("^curl", block, re.M)) > 5
    script = re.sub("^curl -i", "curl -s -o /dev/null -w '%{http_code}\\\\n'", block, flags=re.M)
    ports = {PROXY: proxy.port, SERVICE: services[0].port, APP: app_port}
    done = subprocess.run(
        ["bash", "-euc", with_ports(script, ports)],
        env={**os.environ, "PASSWORD": demo, "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == expected
