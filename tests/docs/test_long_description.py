"""The README reads well on a package index, where none of the files beside it exist."""

import email
import email.message
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = "https://github.com/clusterpass/clusterpass/blob"
IMAGES = "https://raw.githubusercontent.com/clusterpass/clusterpass"
_TARGET = re.compile(r"\]\(([^)]+)\)|(?:href|src)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_string(archive.read(name).decode("utf-8"))


def test_twine_finds_nothing_wrong(wheel: Path):
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_link_is_absolute_and_leads_to_a_file_of_this_release(metadata):
    text = metadata.get_payload()
    version = metadata["Version"]
    targets = [one or other for one, other in _TARGET.findall(text)]
    assert len(targets) > 10
    for target in targets:
        assert target.startswith(("https://", "#")), target
        for base in (f"{FILES}/v{version}/", f"{IMAGES}/v{version}/"):
            if target.startswith(base):
                path = target.removeprefix(base).partition("#")[0]
                assert (ROOT / path).exists(), target


def test_images_are_shown_from_where_they_are_served_as_such(metadata):
    images = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", metadata.get_payload())
    assert images
    assert all(image.startswith(IMAGES) for image in images)


def test_the_index_links_to_the_project(metadata):
    urls = dict(each.split(", ") for each in metadata.get_all("Project-URL"))
    assert set(urls) == {"Homepage", "Documentation", "Source", "Changelog", "Issues"}
    assert all(
        url.startswith("https://github.com/clusterpass/clusterpass") for url in urls.values()
    )
    assert metadata["Description-Content-Type"].startswith("text/markdown")
