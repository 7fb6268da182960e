"""The commands and the program of the page about keys in the store, in order, on a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterpass import Config, KeyRing, ManagedKeys, SessionManager
from clusterpass.embedded.cluster import EmbeddedCluster

PAGE = Path(__file__).parents[2] / "docs/howto/managed-keys.md"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with EmbeddedCluster(nodes=1) as running:
        yield running.url


def blocks(kind: str) -> list[str]:
    found = re.findall(rf"^( *)```{kind}\n(.*?)^\1```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [re.sub(r"^ +", "", block, flags=re.M) if indent else block for indent, block in found]


@pytest.mark.alternating
def test_the_commands(store: str, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    main = "from clusterpass.cli import main; main()"
    (programs / "clusterpass").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
    (programs / "clusterpass").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "CLUSTERPASS_STORE_URL": store,
    }
    script = "set -e\n" + "".join(blocks("sh")) + "clusterpass keys list --json > end.json\n"
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, check=True)
    keys = json.loads((tmp_path / "end.json").read_text())
    assert sorted(key["state"] for key in keys) == ["active", "next", "revoked"]


def test_the_program(store: str) -> None:
    from clusterpass.tokens.key_encryption import new_encryption_key

    (program,) = blocks("py")
    names = {
        "Config": Config,
        "KeyRing": KeyRing,
        "ManagedKeys": ManagedKeys,
        "SessionManager": SessionManager,
        "url": f"{store}?namespace=program",
        "encryption_key": new_encryption_key(),
    }
    exec(compile(program, str(PAGE), "exec"), names)
    assert len(names["published"]["keys"]) == 1
