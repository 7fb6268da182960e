"""The languages of the page: complete catalogues, the choice by Accept-Language, and times."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from clusterpass.service.language import translation as package
from clusterpass.service.language.choice import ENGLISH, LANGUAGES, choose
from clusterpass.service.language.marks import Plural
from clusterpass.service.language.translation import folder_of, language

ROOT = Path(__file__).parents[2]
LOCALE = Path(package.__file__).parent / "locale"
TRANSLATED = [tag for tag in LANGUAGES if tag != ENGLISH]
_PLACES = re.compile(r"\{\w+\}|%\(\w+\)s|<[^>]*>|\bHTTPS?\b")


def catalogue(tag: str) -> Catalog:
    path = LOCALE / folder_of(tag) / "LC_MESSAGES" / "service.po"
    with path.open("rb") as file:
        return read_po(file, locale=folder_of(tag))


def messages(tag: str) -> list[Message]:
    return [message for message in catalogue(tag) if message.id]


def test_every_language_has_a_catalogue() -> None:
    assert {path.name for path in LOCALE.iterdir()} == {folder_of(tag) for tag in TRANSLATED}
    assert len(messages("de")) > 250


def test_the_catalogues_have_the_messages_of_the_sources_and_no_others() -> None:
    outcome = subprocess.run(
        [sys.executable, "scripts/update_catalogues.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, f"run scripts/update_catalogues.py: {outcome.stdout}"


@pytest.mark.parametrize("tag", TRANSLATED)
def test_every_message_is_translated(tag: str) -> None:
    found = catalogue(tag)
    for message in messages(tag):
        assert not message.fuzzy, message.id
        texts = message.string if isinstance(message.string, tuple) else (message.string,)
        assert len(texts) == (found.num_plurals if isinstance(message.id, tuple) else 1)
        assert all(text.strip() for text in texts), message.id


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_translation_has_the_placeholders_of_its_message(tag: str) -> None:
    for message in messages(tag):
        if isinstance(message.id, tuple):
            texts, one, many = message.string, *map(places, message.id)
            assert places(texts[-1]) == many, message.id
            assert all(places(text) in ([one, many]) for text in texts), message.id
        else:
            assert places(message.string) == places(message.id), message.id


@pytest.mark.parametrize("tag", TRANSLATED)
def test_sentences_end_as_their_messages_do(tag: str) -> None:
    ends = str.maketrans("\u3002\uff1f", ".?")
    for message in messages(tag):
        pairs = (message.id, message.string)
        if isinstance(message.id, tuple):
            pairs = (message.id[1], message.string[-1])
        given, text = (each.translate(ends) for each in pairs)
        if given.endswith((".", "?")):
            assert text.endswith(given[-1]), message.id
        else:
            assert not text.endswith("."), message.id
        assert "  " not in text and text == text.strip()


def places(text: str) -> list[str]:
    return sorted(_PLACES.findall(text))


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE-at", "de"),
        ("de-CH-1996, en", "de"),
        ("en-US,en;q=0.9,de;q=0.8", "en"),
        ("fr;q=0.5, es;q=0.7, it", "es"),
        ("fr;q=0.5,es;q=0.50", "fr"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("de;q=0, de-AT", "en"),
        ("de-AT;q=0, de", "de"),
        ("it, pt-BR;q=0.9", "en"),
        ("*", "en"),
        ("it, *;q=0.5, fr;q=0.1", "fr"),
        ("zh", "zh-Hans"),
        ("zh-CN,zh;q=0.9", "zh-Hans"),
        ("zh-Hans-SG", "zh-Hans"),
        ("zh-TW,en;q=0.5", "en"),
        ("zh-TW,zh;q=0.9,en;q=0.5", "zh-Hans"),
        ("zh-Hant", "en"),
        ("de;q=2, fr", "fr"),
        ("de;q=x, fr;q=0.3", "fr"),
        ("de ; q=0.4 , fr;Q=0.3", "de"),
        ("<b>, , ;;, de-", "en"),
        ("it," * 5000 + "de", "en"),
    ],
)
def test_the_language_of_a_browser(header: str, tag: str) -> None:
    assert choose(header) == tag


def test_what_was_chosen_counts_if_there_is_such_a_language() -> None:
    assert choose("fr", "zh-Hans") == "zh-Hans"
    for other in ("", "it", "DE", "../de", "zh"):
        assert choose("fr", other) == "fr"


@pytest.mark.parametrize(
    ("tag", "time"),
    [
        ("en", "5 Mar 2026, 07:08 UTC"),
        ("de", "5. März 2026, 07:08 UTC"),
        ("es", "5 mar 2026, 7:08 UTC"),
        ("fr", "5 mars 2026, 07:08 UTC"),
        ("zh-Hans", "2026年3月5日 07:08 UTC"),
    ],
)
def test_a_time_in_each_language(tag: str, time: str) -> None:
    assert language(tag).moment(1_772_694_480) == time


@pytest.mark.parametrize(
    ("tag", "one", "two"),
    [
        ("en", "1 minute", "2 minutes"),
        ("de", "1 Minute", "2 Minuten"),
        ("es", "1 minuto", "2 minutos"),
        ("fr", "1 minute", "2 minutes"),
        ("zh-Hans", "1 分钟", "2 分钟"),
    ],
)
def test_plural_forms(tag: str, one: str, two: str) -> None:
    plural = Plural(
        "Too many attempts. Try again in {count} minute.",
        "Too many attempts. Try again in {count} minutes.",
    )
    for count, words in ((1, one), (2, two)):
        assert re.search(rf"{words}\b|{words}后", language(tag).counted(plural, count))
