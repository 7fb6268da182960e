"""A language: its messages, plural forms, and times; loaded when a reader first needs it."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final

from babel import Locale
from babel.dates import format_datetime, format_skeleton, get_datetime_format
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

from clusterpass.service.language.choice import ENGLISH, LANGUAGES
from clusterpass.service.language.marks import Plural, mark, mark_plural

CATALOGUE: Final = "LC_MESSAGES/service.po"
"""The path of a catalogue in the folder of its language."""
_UTC_MOMENT: Final = mark("{time} UTC")
_ENGLISH_TIME: Final = "d MMM y, HH:mm"
"""Read alike in every English-speaking country."""
_SECONDS: Final = mark_plural(
    "Too many attempts. Try again in {count} second.",
    "Too many attempts. Try again in {count} seconds.",
)
_MINUTES: Final = mark_plural(
    "Too many attempts. Try again in {count} minute.",
    "Too many attempts. Try again in {count} minutes.",
)
_LONGEST_SECONDS: Final = 90


class Language:
    """A language: its messages, plural forms, and times."""

    def __init__(self, tag: str) -> None:
        """``tag``: one of ``LANGUAGES``."""
        self.tag: Final = tag
        self.translations: Final = _translations(tag)
        self.between_sentences: Final = "" if tag.startswith("zh") else " "
        self._locale: Final = Locale.parse(folder_of(tag))

    def gettext(self, message: str, /) -> str:
        """Return ``message`` in this language."""
        return self.translations.gettext(message)

    def ngettext(self, plural: Plural, count: int) -> str:
        """Return the form of a message that belongs to ``count``, with its placeholders."""
        return self.translations.ngettext(plural.one, plural.many, count)

    def counted(self, plural: Plural, count: int) -> str:
        """Return the form of a message that belongs to ``count``, which is put into it."""
        return self.ngettext(plural, count).replace("{count}", str(count))

    def knows(self, message: str) -> bool:
        """Return whether ``message`` is in the catalogue; English knows all of its own."""
        return self.tag == ENGLISH or self.gettext(message) != message

    def moment(self, timestamp: int) -> str:
        """Return a time for people, in UTC; ``timestamp``: seconds since the epoch."""
        when = datetime.fromtimestamp(timestamp, UTC)
        return self.gettext(_UTC_MOMENT).replace("{time}", self._written(when))

    def _written(self, when: datetime) -> str:
        if self.tag == ENGLISH:
            return format_datetime(when, _ENGLISH_TIME, locale=self._locale)
        text = str(get_datetime_format("medium", locale=self._locale)).replace("'", "")
        for place, skeleton in (("{1}", "yMMMd"), ("{0}", "Hm")):
            text = text.replace(place, format_skeleton(skeleton, when, locale=self._locale))
        return text

    def try_again_in(self, seconds: int) -> str:
        """Return the sentence for too many attempts; ``seconds``: the wait, which is rounded up."""
        if seconds <= _LONGEST_SECONDS:
            return self.counted(_SECONDS, seconds)
        return self.counted(_MINUTES, -(-seconds // 60))


@cache
def language(tag: str) -> Language:
    """Return the language of a tag that is one of ``LANGUAGES``."""
    return Language(tag)


def folder_of(tag: str) -> str:
    """Return the name of the folder of a language's catalogue."""
    return tag.replace("-", "_")


def _translations(tag: str) -> NullTranslations:
    assert tag in LANGUAGES
    if tag == ENGLISH:
        return NullTranslations()
    path = files(__package__).joinpath("locale", folder_of(tag), *CATALOGUE.split("/"))
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=folder_of(tag)))
    compiled.seek(0)
    return Translations(compiled)
