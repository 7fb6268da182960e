"""Every variable that the files of ``deploy/`` and the guides set is one that the service reads."""

import re
from pathlib import Path

import pytest

from clusterpass.service.settings.loading import CONFIG_VARIABLE, PREFIX
from clusterpass.service.settings.service import Settings

from .programs import DEPLOY, ROOT

VARIABLE = re.compile(rf"\b{PREFIX}[A-Z][A-Z0-9_]*\b")
KNOWN = {CONFIG_VARIABLE, *(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)}
OF_OTHERS = {"CLUSTERPASS_LOGIN_URL", "CLUSTERPASS_COOKIE_SECURE"}
"""Settings of the integrations with Django and Flask, which their pages are about."""
FILES = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file()]
PAGES = sorted((ROOT / "docs" / "howto").rglob("*.md"))


def variables_of(path: Path) -> set[str]:
    return set(VARIABLE.findall(path.read_text("utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_the_variables_of_a_file_are_settings(path: Path) -> None:
    assert variables_of(path) <= KNOWN


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_variables_of_a_page_are_settings(path: Path) -> None:
    assert variables_of(path) <= KNOWN | OF_OTHERS


def test_there_are_some() -> None:
    found = set().union(*map(variables_of, FILES))
    assert {"CLUSTERPASS_STORE_URL", "CLUSTERPASS_KEYS_FILE"} <= found
