"""The language of a reader: a chosen one, or the best of Accept-Language (RFC 9110 12.5.4).

Ranges are compared by the lookup of RFC 4647 section 3.4: ``de-AT`` gets German. English is for all
others.
"""

import re
from typing import Final

ENGLISH: Final = "en"
LANGUAGES: Final = {
    ENGLISH: "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "zh-Hans": "简体中文",
}
"""The tags (BCP 47) of the languages, and what their readers call them."""

_RANGE: Final = re.compile(
    r"(?P<tag>[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)"
    r"(?:[ \t]*;[ \t]*[qQ]=(?P<quality>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_LONGEST: Final = 1000
"""Characters of the header that are looked at."""
_TRADITIONAL: Final = ("zh-hant", "zh-tw", "zh-hk", "zh-mo")
"""Readers of another script than that of our Chinese."""


def choose(accept_language: str, chosen: str = "") -> str:
    """Return the tag of the language for a reader.

    ``accept_language``: the header of the request; ``chosen``: the tag of the language that the
    reader has chosen, if it is one of ours.
    """
    if chosen in LANGUAGES:
        return chosen
    qualities = _qualities(accept_language[:_LONGEST])
    refused = {_look_up(tag) for tag, quality in qualities.items() if not quality} - {None}
    for tag, quality in sorted(qualities.items(), key=lambda item: -item[1]):
        found = _look_up(tag)
        if quality and found is not None and (found not in refused or tag.lower() == found.lower()):
            return found
    return ENGLISH


def _qualities(header: str) -> dict[str, float]:
    """Return the quality of each range, in the order of the header; malformed ones are left out."""
    qualities = dict[str, float]()
    for each in header.split(","):
        if found := _RANGE.fullmatch(each.strip(" \t")):
            qualities.setdefault(found["tag"], float(found["quality"] or 1))
    return qualities


def _look_up(tag: str) -> str | None:
    """Return our language for a range; None if there is none, also for ``*``."""
    rest = tag.lower()
    if rest.startswith(_TRADITIONAL):
        return None
    while rest:
        if rest in {"zh", "zh-hans"}:
            return "zh-Hans"
        if rest in LANGUAGES:
            return rest
        rest = rest.rpartition("-")[0]
    return None
