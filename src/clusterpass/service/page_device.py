"""A name for the device that a browser runs on, from its User-Agent header.

It is for the eye only: anybody can send any User-Agent, and nothing is decided by it. What is not
known here is not named after what was sent.
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
_POCKET: Final = ("iPhone", "iPad", "Android", "phone", "Phone", "tablet", "Tablet")


def device_name(user_agent: str) -> str | None:
    """Such as "Chrome on Linux"; None when neither is recognised."""
    browser = _first(_BROWSERS, user_agent)
    platform = _first(_PLATFORMS, user_agent)
    if browser and platform:
        return f"{browser} on {platform}"
    return browser or platform


def is_pocket_device(device: str | None) -> bool:
    """Whether the name of a device speaks of a phone or a tablet."""
    return any(word in (device or "") for word in _POCKET)


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in rules if mark in text), None)
