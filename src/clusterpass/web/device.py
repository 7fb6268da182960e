"""The name and the type of a device, from the User-Agent header of its browser.

Both are for display, and for a policy that limits sessions per device type. Anyone can send any
User-Agent, so neither proves anything. An unknown User-Agent gets no name.
"""

from typing import Final

# The order matters: most browsers also claim to be those further down.
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
    # Android on a tablet does not say "Mobile".
    ("Android", "tablet"),
    ("Windows NT", "computer"),
    ("Macintosh", "computer"),
    ("CrOS", "computer"),
    ("Linux", "computer"),
)
BROWSERS: Final = frozenset(name for _, name in _BROWSERS)
"""The names of browsers that :func:`device_name` gives."""
PLATFORMS: Final = frozenset(name for _, name in _PLATFORMS)
"""The names of systems and devices that :func:`device_name` gives."""


def device_name(user_agent: str) -> str | None:
    """Return a name such as "Chrome on Linux"; None when neither part is recognized."""
    browser = _first(_BROWSERS, user_agent)
    platform = _first(_PLATFORMS, user_agent)
    if browser and platform:
        return f"{browser} on {platform}"
    return browser or platform


def device_type(user_agent: str) -> str | None:
    """Return ``phone``, ``tablet`` or ``computer``; None when the device is not recognized."""
    return _first(_TYPES, user_agent)


def _first(rules: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((name for mark, name in rules if mark in text), None)
