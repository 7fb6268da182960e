"""The settings of the page's looks: the operator's name, logo, colours, links and templates."""

import re
from pathlib import Path
from typing import Final

from pydantic import Field, field_validator

from clusterpass.service.settings.accounts import AccountSettings
from clusterpass.service.settings.colour_contrast import (
    DARK_GROUNDS,
    LIGHT_GROUNDS,
    LOWEST_CONTRAST,
    is_colour,
    lowest_contrast,
    readable_shade,
)
from clusterpass.service.settings.lists import Names, split

_LINK: Final = re.compile(r"(?P<label>[^=]{1,60})=(?P<target>.{1,500})")
_TARGET: Final = re.compile(
    r"https://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?(?:[/?#][!#-;=?-\[\]_a-z~]*)?"
    r"|/(?:[!#-.0-;=?-\[\]_a-z~][!#-;=?-\[\]_a-z~]*)?"
)
"""An https URL, or a path that is none of another host (``//host``); no spaces, no quotes."""


class LooksSettings(AccountSettings):
    """Settings for the looks of the page."""

    page_name: str = Field(
        default="ClusterPass",
        min_length=1,
        max_length=60,
        description="The operator's name: at the top of each page, in its title, and in mails.",
    )
    page_logo: Path | None = Field(
        default=None,
        description="An image (SVG, PNG, JPEG or WebP, at most 256 KiB) before the name, and as the"
        " icon of the page; it is served from the page's own origin.",
    )
    page_color: str | None = Field(
        default=None,
        description="The colour of buttons and links in light mode, such as `#0f766e`. Text in it"
        " must have a contrast of 4.5:1 with the background (WCAG 2.2, 1.4.3).",
    )
    page_color_dark: str | None = Field(
        default=None,
        description="The same for dark mode, such as `#5eead4`. Not set: a lighter shade of"
        " page_color.",
    )
    page_links: Names = Field(
        default=(),
        description="Links at the foot of each page, separated by commas, as `LABEL=TARGET`; a"
        " target is an https URL or a path, such as"
        " `Privacy=https://example.org/privacy,Imprint=/imprint`.",
    )
    page_templates: Path | None = Field(
        default=None,
        description="A folder with Jinja templates that replace those of the page of the same name"
        " ([branding](../howto/branding.md#templates)).",
    )

    @field_validator("page_name")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isprintable() or not value.strip():
            raise ValueError("give a name of printable characters, such as Example Corporation")
        return value.strip()

    @field_validator("page_color")
    @classmethod
    def _readable_on_light(cls, value: str | None) -> str | None:
        return _checked(value, LIGHT_GROUNDS, is_dark=False)

    @field_validator("page_color_dark")
    @classmethod
    def _readable_on_dark(cls, value: str | None) -> str | None:
        return _checked(value, DARK_GROUNDS, is_dark=True)

    @field_validator("page_links", mode="before")
    @classmethod
    def _split_links(cls, value: object) -> object:
        return split(value)

    @field_validator("page_links")
    @classmethod
    def _followable(cls, value: Names) -> Names:
        for each in value:
            found = _LINK.fullmatch(each)
            if found is None or not each.isprintable() or not found["label"].strip():
                raise ValueError("write each as LABEL=TARGET, such as Imprint=/imprint")
            if not _TARGET.fullmatch(found["target"].strip()):
                raise ValueError(
                    "each target must be a URL that begins with https://, or a path that begins"
                    " with one slash; write other characters as %XX, a comma as %2C"
                )
        return value

    def links_of_page(self) -> tuple[tuple[str, str], ...]:
        """Return the label and the target of each of ``page_links``."""
        found = (each.partition("=") for each in self.page_links)
        return tuple((label.strip(), target.strip()) for label, _, target in found)


def _checked(value: str | None, grounds: tuple[str, ...], *, is_dark: bool) -> str | None:
    if value is None:
        return None
    if not is_colour(value):
        raise ValueError("write it as # and six hexadecimal digits, such as #0f766e")
    colour = value.lower()
    found = lowest_contrast(colour, grounds)
    if found < LOWEST_CONTRAST:
        raise ValueError(
            f"text in it would have a contrast of {int(found * 10) / 10}:1 with the background of"
            f" {'dark' if is_dark else 'light'} mode, and needs {LOWEST_CONTRAST}:1; choose a"
            f" {'lighter' if is_dark else 'darker'} colour, such as"
            f" {readable_shade(colour, grounds, is_dark=is_dark)}"
        )
    return colour
