"""Contrast of the page's colours (WCAG 2.2), and shades that are readable."""

import re
from typing import Final

LOWEST_CONTRAST: Final = 4.5
"""Of text with what is behind it: WCAG 2.2, success criterion 1.4.3."""
LIGHT_GROUNDS: Final = ("#f3f5f6", "#ffffff")
DARK_GROUNDS: Final = ("#101615", "#1a2321")
"""What text is on, in either scheme: ``--ground`` and ``--card`` of base.css."""
WHITE: Final = "#ffffff"
BLACK: Final = "#000000"
_COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")
_STEPS: Final = 50


def is_colour(text: str) -> bool:
    """Return whether ``text`` is a colour such as ``#0f766e``."""
    return _COLOUR.fullmatch(text) is not None


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def lowest_contrast(colour: str, grounds: tuple[str, ...]) -> float:
    """Return the lowest contrast ratio of ``colour`` with one of ``grounds``."""
    return min(contrast(colour, each) for each in grounds)


def mixed(colour: str, other: str, share: float) -> str:
    """Return ``colour`` with a ``share`` (0 to 1) of ``other``."""
    pairs = zip(_parts(colour), _parts(other), strict=True)
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)


def readable_shade(colour: str, grounds: tuple[str, ...], *, is_dark: bool) -> str:
    """Return the nearest shade of ``colour`` that can be read on ``grounds``.

    ``is_dark``: whether the grounds are dark, so that the shade has to be lighter.
    """
    towards = WHITE if is_dark else BLACK
    shades = (mixed(colour, towards, step / _STEPS) for step in range(_STEPS + 1))
    return next(each for each in shades if lowest_contrast(each, grounds) >= LOWEST_CONTRAST)


def text_on(colour: str) -> str:
    """Return the colour, black or white, that text on ``colour`` has to have."""
    return max((WHITE, BLACK), key=lambda each: contrast(each, colour))


def _parts(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour[1:]))


def _luminance(colour: str) -> float:
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (part / 255 for part in _parts(colour))
    ]
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
