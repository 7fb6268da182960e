"""A name and a kind for the device that a browser runs on, from its User-Agent header.

They are for the eye, and for a policy that counts devices of one kind: anybody can send any
User-Agent. What is not known here is not named after what was sent.
"""

from typing import Final

# In this order: most browsers also claim to be the ones further down.
_BROWSERS: Final = (
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("OPR/", "Opera"),
    ("OPiOS/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_PLATFORMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Macintosh", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)
_TYPES: Final = (
    ("iPad", "tablet"),
    ("Tablet", "tablet"),
    ("iPhone", "phone"),
    ("Mobile", "phone"),
    # An Android that does not call itself mobile.
    ("Android", "tablet"),
    ("Windows NT", "computer"),
    ("Macintosh", "computer"),
    ("CrOS", "computer"),
    ("Linux", "computer"),
)
# What applications call their devices, where they do not name the kind.
_WORDS: Final = (
    ("iPad", "tablet"),
    ("tablet", "tablet"),
    ("Tablet", "tablet"),
    ("iPhone", "phone"),
    ("Android", "phone"),
    ("phone", "phone"),
    ("Phone", "phone"),
)
_PLURALS: Final = {"phone": "phones", "tablet": "tablets", "computer": "computers"}


def device_name(user_agent: str) -> str | None:
    """Such as "Chrome on Linux"; None when neither is recognised."""
    browser = _first(_BROWSERS, user_agent)
    platform = _first(_PLATFORMS, user_agent)
    if browser and platform:
        return f"{browser} on {platform}"
    return browser or platform


def device_type(user_agent: str) -> str | None:
    """``phone``, ``tablet`` or ``computer``; None when it is not recognised."""
    return _first(_TYPES, user_agent)


def device_icon(kind: str | None, name: str | None) -> str:
    """Which picture a device gets, by its kind, else by its name."""
    if kind in _PLURALS:
        return str(kind)
    return _first(_WORDS, name or "") or "computer"


def plural(kind: str) -> str:
    """Several devices of a kind, also of one that only the application knows."""
    return _PLURALS.get(kind, f"devices of the kind {kind}")


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in rules if mark in text), None)
