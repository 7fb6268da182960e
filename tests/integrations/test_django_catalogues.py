"""The messages of the integration with Django in other languages: complete, and compiled."""

import ast
import gettext
import re
from pathlib import Path

import pytest

from clusterpass import integrations

FOLDER = Path(integrations.__file__).parent
PACKAGE = FOLDER / "django"
SOURCES = [*PACKAGE.rglob("*.py"), FOLDER / "drf.py"]
CATALOGUES = sorted(PACKAGE.glob("locale/*/LC_MESSAGES/django.po"))
_FUNCTIONS = {"_", "gettext", "gettext_lazy", "ngettext"}
_ENTRY = re.compile(
    r'^msgid "(?P<id>.+)"\n(?:msgid_plural "(?P<plural>.+)"\n)?(?P<texts>(?:msgstr.*\n)+)', re.M
)


def messages() -> set[str]:
    """Return the messages that the sources mark for translation."""
    calls = [
        node
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _FUNCTIONS
    ]
    return {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}


def test_there_is_german():
    assert [each.parts[-3] for each in CATALOGUES] == ["de"]


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_a_catalogue_has_every_message_and_no_other(path):
    entries = _ENTRY.finditer(path.read_text("utf-8"))
    assert {entry["id"] for entry in entries} == messages()


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parts[-3])
def test_what_is_compiled_is_the_catalogue(path):
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in _ENTRY.finditer(path.read_text("utf-8")):
        texts = re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', entry["texts"], re.M)
        if entry["plural"]:
            found = [compiled.ngettext(entry["id"], entry["plural"], n) for n in (1, 2)]
        else:
            found = [compiled.gettext(entry["id"])]
        assert found == texts, "run: msgfmt -o django.mo django.po"
        for text in texts:
            names = re.findall(r"%\(\w+\)\w", text)
            assert sorted(names) == sorted(re.findall(r"%\(\w+\)\w", entry["id"]))
