"""The image, as far as it can be tried without a container engine."""

import json
import re
import socket
import subprocess
import sys

import pytest

from .programs import DEPLOY, ROOT, run, said

FOLDER = DEPLOY / "docker"
DOCKERFILE = FOLDER / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and what follows it, in one line."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text("utf-8"), flags=re.M)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def arguments_of(instruction: str) -> str:
    (found,) = [rest for name, rest in instructions() if name == instruction]
    return found


def test_hadolint_has_nothing_to_say():
    done = run("hadolint", DOCKERFILE)
    assert done.returncode == 0, said(done)


def test_hadolint_would_object(tmp_path):
    broken = tmp_path / "Dockerfile"
    broken.write_text("FROM python:3.11-slim\nRUN cd /tmp\n")
    assert run("hadolint", broken).returncode != 0


def test_what_is_copied_is_there_and_reaches_the_build():
    lines = (FOLDER / "Dockerfile.dockerignore").read_text("utf-8").split()
    kept = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for name, rest in instructions()
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)


def test_what_the_wheel_is_built_from_is_copied():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = {
        *project["project"]["license-files"],
        *(
            part["path"]
            for part in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
                "fragments"
            ]
        ),
        *(
            folder.split("/")[0]
            for folder in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        ),
    }
    copied = " ".join(rest for name, rest in instructions() if name == "COPY").split()
    folders = [name for name in copied if (ROOT / name).is_dir()]
    inside = {name for name in needed if any(name.startswith(f"{folder}/") for folder in folders)}
    assert needed - inside <= set(copied)


def test_it_runs_as_a_number_that_is_not_root():
    user = arguments_of("USER")
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user)
    last_stage = [name for name, _ in instructions()][::-1].index("FROM")
    assert "USER" in [name for name, _ in instructions()][-last_stage:]


def test_the_base_is_the_oldest_python_that_is_supported_and_small():
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert set(bases) == {"python:3.11-slim"}


def test_its_variables_are_settings():
    from clusterpass.service.settings.loading import PREFIX
    from clusterpass.service.settings.service import Settings

    names = re.findall(rf"{PREFIX}(\w+)=", arguments_of("ENV"))
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def health_command() -> list[str]:
    command = json.loads(arguments_of("HEALTHCHECK").split("CMD", 1)[1])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@pytest.mark.alternating
def test_the_health_check_knows_a_service_from_none(serve):
    server = serve()
    environment = {"CLUSTERPASS_PORT": str(server.port)}
    alive = subprocess.run(health_command(), env=environment, capture_output=True, check=False)
    assert alive.returncode == 0, alive.stderr
    server.stop()
    dead = subprocess.run(health_command(), env=environment, capture_output=True, check=False)
    assert dead.returncode != 0


def test_the_health_check_gives_up_on_a_silent_service():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environment = {"CLUSTERPASS_PORT": str(silent.getsockname()[1])}
        dead = subprocess.run(
            health_command(), env=environment, capture_output=True, check=False, timeout=30
        )
    assert dead.returncode != 0


OPTIONS_OF_INDEXES = ("index-url", "index_url", "find-links", "trusted-host", "--registry")


@pytest.mark.parametrize(
    "path",
    [
        path
        for name in ("docker", "compose", "helm", "systemd")
        for path in (DEPLOY / name).rglob("*")
        if path.is_file()
    ],
    ids=lambda path: str(path.relative_to(DEPLOY)),
)
def test_no_package_index_is_named(path):
    """Where packages come from is what whoever builds has configured."""
    text = path.read_text("utf-8").lower()
    assert not [option for option in OPTIONS_OF_INDEXES if option in text]
