"""The composition: its file against the specification, its nodes and its commands as processes."""

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusterpass.doctor import DoctorOptions, examine
from clusterpass.embedded.binary import find_server
from clusterpass.embedded.conf import port_is_free
from tests.ports import free_port

from .programs import DEPLOY, program, run, said

FOLDER = DEPLOY / "compose"
COMPOSE = FOLDER / "compose.yaml"
PASSWORD = "letters0and1digits"
SERVICES = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]
BUS_IS_ABOVE = 10_000
NODES = [name for name in SERVICES if name.startswith("valkey-")]


def test_it_follows_the_specification_of_compose(tmp_path):
    done = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert done.returncode == 0, said(done)
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text("utf-8").replace("cap_drop", "cap_dropped"))
    assert run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", broken).returncode


def names_in(service: dict[str, Any], key: str) -> set[str]:
    """The names that a service refers to: those of a list, or the keys of a mapping."""
    return set(service.get(key, ()))


def test_what_a_service_refers_to_is_declared():
    """As ``docker compose config`` judges; the schema does not look at references."""
    whole = yaml.safe_load(COMPOSE.read_text("utf-8"))
    for name, service in SERVICES.items():
        assert names_in(service, "depends_on") <= set(SERVICES), name
        assert names_in(service, "networks") <= set(whole["networks"]), name
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).exists(), name
            else:
                assert source in whole["volumes"], name
        for other, how in dict(service.get("depends_on", {})).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], name
            else:
                assert how["condition"] == "service_completed_successfully"
                assert SERVICES[other]["restart"] == "no", name
    published = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert len(published) == len({port.rsplit(":", 1)[0] for port in published})
    used = {v.split(":")[0] for each in SERVICES.values() for v in each.get("volumes", ())}
    assert set(whole["volumes"]) <= used, "no volume is left over"


def test_the_addresses_are_in_the_network():
    import ipaddress

    whole = yaml.safe_load(COMPOSE.read_text("utf-8"))
    (part,) = whole["networks"]["cluster"]["ipam"]["config"]
    network = ipaddress.ip_network(part["subnet"])
    for name in NODES:
        address = SERVICES[name]["networks"]["cluster"]["ipv4_address"]
        assert ipaddress.ip_address(address) in network


def test_the_image_that_is_built_is_the_one_of_the_dockerfile():
    for name in ("keys", "auth-1", "auth-2"):
        build = SERVICES[name]["build"]
        context = (FOLDER / build["context"]).resolve()
        assert (context / build["dockerfile"]).samefile(DEPLOY / "docker" / "Dockerfile")


def test_its_style_is_that_of_the_linter():
    done = run("yamllint", "--strict", "-c", DEPLOY / ".yamllint.yaml", COMPOSE)
    assert done.returncode == 0, said(done)


def test_every_variable_is_in_the_example_of_the_environment():
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE.read_text("utf-8")))
    example = (FOLDER / ".env.example").read_text("utf-8")
    assert asked == set(re.findall(r"^(\w+)=", example, re.M))


def test_every_node_has_a_volume_and_an_address_of_its_own():
    assert len(NODES) == 6
    volumes = {SERVICES[name]["volumes"][1] for name in NODES}
    addresses = {SERVICES[name]["networks"]["cluster"]["ipv4_address"] for name in NODES}
    assert len(volumes) == len(addresses) == 6
    (form,) = [text for text in SERVICES["form"]["command"] if "--cluster create" in text]
    assert set(re.findall(r"([\d.]+):6379", form)) == addresses


def test_the_service_is_stopped_as_slowly_as_it_stops():
    from clusterpass.service.supervisor import GRACE_SECONDS

    for name in ("auth-1", "auth-2"):
        assert int(SERVICES[name]["stop_grace_period"].rstrip("s")) > GRACE_SECONDS


def ports_of_nodes(count: int) -> list[int]:
    """Different ports whose cluster bus, ten thousand above, finds its own free, too."""
    found: set[int] = set()
    while len(found) < count:
        port = free_port()
        if port_is_free(port + BUS_IS_ABOVE):
            found.add(port)
    return sorted(found)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, int]]:
    """The six nodes, started by their own commands: their addresses and their ports here."""
    running: list[subprocess.Popen[bytes]] = []
    ports = {}
    environment = {"VALKEY_PASSWORD": PASSWORD, "PATH": os.environ["PATH"]}
    try:
        for name, port in zip(NODES, ports_of_nodes(len(NODES)), strict=True):
            folder = tmp_path / name
            folder.mkdir()
            ports[SERVICES[name]["networks"]["cluster"]["ipv4_address"]] = port
            command = SERVICES[name]["command"][-1].replace("$$", "$")
            here = folder / "valkey.conf"
            lines = (FOLDER / "valkey.conf").read_text("utf-8")
            here.write_text(f"{lines}\nport {port}\ndir {folder}\nbind 127.0.0.1\n")
            was = "valkey-server /etc/valkey/valkey.conf -"
            assert was in command
            with (folder / "log").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        ["sh", "-c", command.replace(was, f"{find_server()} {here} -")],
                        env=environment,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        yield ports
    finally:
        for process in running:
            # The shell and the server that it waits for.
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait(30)


def await_health(port: int, environment: dict[str, str]) -> None:
    """Wait until the health check of a node succeeds, as Compose does."""
    health = SERVICES["valkey-1"]["healthcheck"]["test"][1].replace("$$", "$")
    command = health.replace("valkey-cli", f"{program('redis-cli')} -p {port}")
    give_up_at = time.monotonic() + 30
    while subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, check=False
    ).returncode:
        assert time.monotonic() < give_up_at, f"the node on port {port} is not healthy"
        time.sleep(0.05)


def test_the_nodes_form_a_cluster_without_a_problem(nodes):
    cli = program("redis-cli")
    form = SERVICES["form"]["command"][-1].replace("$$", "$").replace("valkey-cli", cli)
    for address, port in nodes.items():
        form = form.replace(f"{address}:6379", f"127.0.0.1:{port}")
        form = form.replace(f"-h {address}", f"-p {port}")
    environment = {"VALKEY_PASSWORD": PASSWORD, "PATH": os.environ["PATH"]}
    for port in nodes.values():
        await_health(port, environment)
    for attempt in ("forms it", "finds it there"):
        done = subprocess.run(
            ["sh", "-c", form], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{attempt}: {said(done)}"
    first = next(iter(nodes.values()))
    url = f"redis+cluster://:{PASSWORD}@127.0.0.1:{first}"
    # At once: whoever follows the page asks the doctor next.
    report = examine(url, DoctorOptions(write=True))
    assert [each for each in report.findings if each.severity == "problem"] == []
    assert Counter(node.role for node in report.seen.nodes) == {"primary": 3, "replica": 3}
    # One machine, of course; nothing of the configuration is to be improved.
    assert {each.id for each in report.findings if each.severity == "warning"} <= {"hosts", "tls"}
