"""The pages about proxies and fail2ban show the files of ``deploy/``, which other tests try."""

import re
from pathlib import Path

import pytest

from tests.proxies.programs import PROGRAMS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OTHERS = {"compose", "docker", "helm", "systemd"}
"""Folders that configure no program in front of the service; tests/deploy tries them."""
FOLDERS = sorted({path.name for path in DEPLOY.iterdir() if path.is_dir()} - OTHERS)
PROXIES = sorted({*FOLDERS} - {"fail2ban"})
GUIDE = "proxies"
_QUOTE = re.compile(r"\[`deploy/([^`]+)`\]\(([^)]+)\):\n\n```\w*\n(.*?)^```$", re.M | re.S)
_BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)


def page(name: str) -> Path:
    return ROOT / "docs" / "howto" / f"{name}.md"


@pytest.mark.parametrize("name", [*FOLDERS, GUIDE])
def test_what_a_page_shows_is_the_file(name):
    quotes = _QUOTE.findall(page(name).read_text("utf-8"))
    assert quotes
    for file, link, block in quotes:
        assert (page(name).parent / link).resolve() == (DEPLOY / file).resolve()
        assert block == (DEPLOY / file).read_text("utf-8"), file


@pytest.mark.parametrize("name", FOLDERS)
def test_a_page_shows_every_file_and_nothing_that_looks_like_one(name):
    text = page(name).read_text("utf-8")
    files = {path.relative_to(DEPLOY) for path in (DEPLOY / name).rglob("*") if path.is_file()}
    assert {Path(file) for file, _, _ in _QUOTE.findall(text)} == files
    others = _BLOCK.findall(_QUOTE.sub("", text))
    assert all(len(block.splitlines()) < 5 for block in others)


def test_every_configuration_is_tried():
    assert {program.folder for program in PROGRAMS.values()} == set(PROXIES)
    started = {file for program in PROGRAMS.values() for file in program.arguments}
    assert {path.name for path in (DEPLOY / "envoy").iterdir() if path.is_file()} <= started


def test_the_guide_has_a_column_for_every_proxy():
    text = page(GUIDE).read_text("utf-8")
    (table,) = re.findall(r"^\| \| \[nginx\].*\n(?:\|.*\n)+", text, re.M)
    rows = [line.strip("|").split("|") for line in table.splitlines()]
    assert {len(row) for row in rows} == {len(PROGRAMS) + 1}
    pages = re.findall(r"\((\w+)\.md[^)]*\)", table.splitlines()[0])
    assert pages == [program.folder for program in PROGRAMS.values()]
    endpoints = next(row for row in rows if row[0].strip() == "endpoint")
    for name in PROXIES:
        assert f" `/authz/{name}` " in endpoints
        asked = "\n".join(
            path.read_text("utf-8") for path in (DEPLOY / name).rglob("*") if path.is_file()
        )
        assert f"/authz/{name}" in asked
