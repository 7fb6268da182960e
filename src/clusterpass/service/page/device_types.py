"""How the page presents a device type: its icon, and its name in the plural."""

from typing import Final

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
_PLURALS: Final = {"phone": "phones", "tablet": "tablets", "computer": "computers"}


def device_icon(device_type: str | None, name: str | None) -> str:
    """Return the icon of a device, by its type, otherwise by its name."""
    if device_type in _PLURALS:
        return str(device_type)
    for word, icon in _TYPE_BY_WORD:
        if word in (name or ""):
            return icon
    return "computer"


def plural(device_type: str) -> str:
    """Return the plural of a device type, which may be one that only the application knows."""
    return _PLURALS.get(device_type, f"devices of type {device_type}")
