"""The commands of the page about keys in files, in order, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

from clusterpass import KeyRing

PAGE = Path(__file__).parents[2] / "docs/howto/rotate-keys.md"
NAME = "clusterpass"


def section(title: str) -> str:
    text = PAGE.read_text("utf-8")
    return text.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str) -> list[str]:
    found = re.findall(r"^( *)```sh\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"^ +", "", block, flags=re.MULTILINE) for _, block in found]


def run(command: str, folder: Path) -> None:
    programs = folder / "bin"
    if not programs.exists():
        programs.mkdir()
        main = "from clusterpass.cli import main; main()"
        (programs / NAME).write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
        (programs / NAME).chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    script = f"set -e\n{command}"
    subprocess.run(["sh", "-c", script], cwd=folder, env=environment, check=True)


def test_the_three_steps(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    make = blocks(section("Make one"))[0].replace("/etc/clusterpass/", "")
    run(make, tmp_path)
    (old,) = KeyRing.load(keys).all()
    publish, move = blocks(section("Rotate"))
    run(publish, tmp_path)
    assert KeyRing.load(keys).signing_key == old
    first, new = KeyRing.load(keys).all()
    assert first == old
    run(move, tmp_path)
    assert KeyRing.load(keys).all() == (new, old)
    (remove,) = re.findall(r"`(mv new\.json [^`]+)`", section("Rotate"))
    run(remove, tmp_path)
    assert KeyRing.load(keys).all() == (new,)
    assert {each.name for each in tmp_path.iterdir()} == {"keys.json", "bin"}


def test_after_a_leak_there_is_a_new_key_alone(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    KeyRing.generate().save(keys)
    before = KeyRing.load(keys)
    (block,) = blocks(section("If a key leaks"))
    generate, revoke = block.splitlines()
    run(generate, tmp_path)
    assert len(KeyRing.load(keys)) == 1
    assert KeyRing.load(keys) != before
    assert revoke.startswith("clusterpass sessions revoke-before")
