"""The operator's brand: name, logo, colours, links; and the templates that replace ours."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from clusterpass import ConfigurationError
from clusterpass.service.settings.colour_contrast import (
    BLACK,
    DARK_GROUNDS,
    WHITE,
    mixed,
    readable_shade,
    text_on,
)
from clusterpass.service.settings.page import LooksSettings

_LARGEST_LOGO: Final = 256 * 1024
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)
_HOVER: Final = 0.15
"""How much darker or lighter a button is that the pointer is on."""


@dataclass(frozen=True, slots=True)
class Logo:
    """An image, as it is served."""

    content: bytes = field(repr=False)
    media_type: str
    version: str
    """Changes with the content."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link at the foot of a page."""

    label: str
    target: str


@dataclass(frozen=True, slots=True)
class Brand:
    """The operator's brand, as templates show it."""

    name: str
    links: tuple[Link, ...] = ()
    logo: Logo | None = None
    style: bytes = b""
    """CSS that sets the colours; empty: those of the style sheet."""

    @classmethod
    def of(cls, settings: LooksSettings) -> "Brand":
        """Return the brand in the settings; raise ConfigurationError for a logo of no use."""
        logo = None if settings.page_logo is None else _logo(settings.page_logo)
        links = tuple(Link(label, target) for label, target in settings.links_of_page())
        return cls(settings.page_name, links, logo, _style(settings))


def _logo(path: Path) -> Logo:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the setting page_logo: {path} cannot be read ({error.strerror}); give the path of an"
            " image"
        ) from None
    if len(content) > _LARGEST_LOGO:
        raise ConfigurationError(
            f"the setting page_logo: {path} has {len(content)} bytes; an image may have at most"
            f" {_LARGEST_LOGO}, and one of 64 by 64 pixels is large enough"
        )
    media_type = _media_type(content)
    if media_type is None:
        raise ConfigurationError(
            f"the setting page_logo: {path} is not an image in the format SVG, PNG, JPEG or WebP"
        )
    return Logo(content, media_type, hashlib.sha256(content).hexdigest()[:16])


def _media_type(content: bytes) -> str | None:
    for magic, media_type in _MAGIC:
        if content.startswith(magic):
            return media_type
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    start = content[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    return "image/svg+xml" if start.startswith((b"<svg", b"<?xml")) and b"<svg" in start else None


def _style(settings: LooksSettings) -> bytes:
    light, dark = settings.page_color, settings.page_color_dark
    if dark is None and light is not None:
        dark = readable_shade(light, DARK_GROUNDS, is_dark=True)
    css = ""
    if light is not None:
        css += f":root {{ {_variables(light)} }}\n"
    if dark is not None:
        css += f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(dark)} }} }}\n"
    return css.encode()


def _variables(main: str) -> str:
    on_main = text_on(main)
    over = mixed(main, BLACK if on_main == WHITE else WHITE, _HOVER)
    return f"--main: {main}; --main-over: {over}; --on-main: {on_main};"
