"""The presentation of a device on the page: its icon, its name, and the plural of its type."""

import re
from typing import Final

from clusterpass.service.language.marks import Plural, mark, mark_plural
from clusterpass.service.language.translation import Language
from clusterpass.web.device import BROWSERS, PLATFORMS

# Words in the name of a device that has no known type.
_TYPE_BY_WORD: Final = (
    ("iPad", "tablet"),
    ("tablet", "tablet"),
    ("Tablet", "tablet"),
    ("iPhone", "phone"),
    ("Android", "phone"),
    ("phone", "phone"),
    ("Phone", "phone"),
)
_TYPES: Final = frozenset({"phone", "tablet", "computer"})
_BROWSER_ON_PLATFORM: Final = mark("{browser} on {platform}")
_BROWSER_ON_DEVICE: Final = {
    "iPhone": mark("{browser} on iPhone"),
    "iPad": mark("{browser} on iPad"),
}
"""A platform that is a device, not a system: some languages tell them apart."""
_GIVEN_BY_THE_SERVICE: Final = re.compile(
    rf"(?P<browser>{'|'.join(map(re.escape, sorted(BROWSERS)))})"
    rf" on (?P<platform>{'|'.join(map(re.escape, sorted(PLATFORMS)))})"
)
_LOG_OUT_ALL: Final = {
    "phone": mark_plural("Log out all phones ({count})", "Log out all phones ({count})"),
    "tablet": mark_plural("Log out all tablets ({count})", "Log out all tablets ({count})"),
    "computer": mark_plural("Log out all computers ({count})", "Log out all computers ({count})"),
}
_LOG_OUT_OTHERS: Final = {
    "phone": mark_plural(
        "Log out all other phones ({count})", "Log out all other phones ({count})"
    ),
    "tablet": mark_plural(
        "Log out all other tablets ({count})", "Log out all other tablets ({count})"
    ),
    "computer": mark_plural(
        "Log out all other computers ({count})", "Log out all other computers ({count})"
    ),
}
_ALL_OF_TYPE: Final = mark_plural(
    "Log out all devices of type {type} ({count})", "Log out all devices of type {type} ({count})"
)
_OTHERS_OF_TYPE: Final = mark_plural(
    "Log out all other devices of type {type} ({count})",
    "Log out all other devices of type {type} ({count})",
)


def device_icon(device_type: str | None, name: str | None) -> str:
    """Return the icon of a device, by its type, otherwise by its name."""
    if device_type in _TYPES:
        return str(device_type)
    for word, icon in _TYPE_BY_WORD:
        if word in (name or ""):
            return icon
    return "computer"


def device_name(name: str, language: Language) -> str:
    """Return ``name`` in ``language`` if the service gave it, and as it is otherwise."""
    found = _GIVEN_BY_THE_SERVICE.fullmatch(name)
    if found is None:
        return name
    browser, platform = found["browser"], found["platform"]
    pattern = _BROWSER_ON_DEVICE.get(platform, _BROWSER_ON_PLATFORM)
    return language.gettext(pattern).format(browser=browser, platform=platform)


def log_out_all(device_type: str, count: int, language: Language, *, is_own: bool) -> str:
    """Return the words on the button that logs out all devices of a type.

    ``device_type``: may be one that only the application knows. ``count``: how many there are.
    ``is_own``: whether the device of the reader, which stays logged in, is of that type.
    """
    known, other = (_LOG_OUT_OTHERS, _OTHERS_OF_TYPE) if is_own else (_LOG_OUT_ALL, _ALL_OF_TYPE)
    plural: Plural = known.get(device_type, other)
    return language.counted(plural, count).replace("{type}", device_type)
