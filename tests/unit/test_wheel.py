"""The built wheel: every script and every data file is included."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import clusterpass, sys
from importlib.resources import files
from clusterpass.protocol.script import load_script
assert clusterpass.__file__.startswith(sys.argv[1]), clusterpass.__file__
for entry in (files("clusterpass.protocol") / "scripts").iterdir():
    if entry.name.endswith(".lua"):
        assert load_script(entry.name.removesuffix(".lua")).source.startswith(b"#!lua")
        print(entry.name)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_each_script_loads_from_the_wheel(unpacked: Path):
    outcome = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, sys.argv[1]){PROGRAM}", unpacked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "login.lua" in outcome.stdout


def test_everything_in_the_source_is_in_the_wheel(unpacked: Path):
    source = ROOT / "src"
    wanted = {
        path.relative_to(source)
        for path in (source / "clusterpass").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = {path for path in wanted if not (unpacked / path).is_file()}
    assert missing == set()
    assert Path("clusterpass/py.typed") in wanted
    assert not (unpacked / "tests").exists()
