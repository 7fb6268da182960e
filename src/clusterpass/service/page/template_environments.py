"""The Jinja environments of the page, one for each language, and its style sheet and CSP.

The environments have the operator's brand.

- Jinja2 escapes every value in a template; no template uses ``safe``.
- One script of ours is in each page, which shows times. The Content-Security-Policy names it by its
  digest, so that no other one runs, and nothing is loaded from another host.
"""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from jinja2 import BytecodeCache, Environment, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup

from clusterpass import ConfigurationError
from clusterpass.service.language.choice import ENGLISH, LANGUAGES
from clusterpass.service.language.translation import Language, language as language_of
from clusterpass.service.page.brand import Brand
from clusterpass.service.page.device_types import device_icon, device_name
from clusterpass.service.page.own_templates import check_templates, loader, own_templates
from clusterpass.service.page.sentences import is_moment, is_quoted, machine_readable
from clusterpass.service.settings.page import LooksSettings

_STYLE_SHEETS: Final = ("base.css", "lists.css", "forms.css")
"""Served as one, in this order."""


def _static(name: str) -> bytes:
    return files(__package__).joinpath("static", name).read_bytes()


SCRIPT: Final = _static("times.js").decode()
"""The script in each page."""
_SCRIPT_DIGEST: Final = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()


def content_security_policy(form_target: str = "") -> str:
    """Return the policy of a page; ``form_target``: an origin that its form may lead to."""
    targets = f"'self' {form_target}".rstrip()
    return (
        f"default-src 'none'; script-src 'sha256-{_SCRIPT_DIGEST}'; style-src 'self';"
        f" img-src 'self' data:; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


class _CompiledOnce(BytecodeCache):
    """What a template was compiled to, for its other languages: it is the same in all of them."""

    def __init__(self) -> None:
        self._code: Final = dict[str, bytes]()

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


class Pages:
    """The templates, styles and brand of all pages."""

    def __init__(self, brand: Brand, folder: Path | None = None) -> None:
        """``folder``: with templates that replace ours. Raises ConfigurationError."""
        self.brand: Final = brand
        self.style: Final = b"\n".join([*map(_static, _STYLE_SHEETS), brand.style])
        self.style_version: Final = hashlib.sha256(self.style).hexdigest()[:16]
        own = own_templates(folder)
        self._loader: Final = loader(own)
        self._compiled: Final = _CompiledOnce()
        self.environment = cache(self._environment)
        if folder is not None:
            check_templates(self.environment(ENGLISH), folder, own)

    @classmethod
    def of(cls, settings: LooksSettings) -> "Pages":
        """Return the pages by the settings; raise ConfigurationError for files of no use."""
        return cls(Brand.of(settings), settings.page_templates)

    @classmethod
    def as_far_as_possible(cls, settings: LooksSettings, logger: Any) -> "Pages":
        """Return the pages, without the operator's files if they are of no use by now."""
        try:
            return cls.of(settings)
        except ConfigurationError as error:
            logger.error("page_files_ignored", problem=error.message)  # noqa: TRY400 (its message tells all)
            without = settings.model_copy(update={"page_logo": None, "page_templates": None})
            return cls.of(without)

    def html(self, template: str, language: Language, values: dict[str, Any]) -> str:
        """Return the HTML that a template makes of ``values``."""
        return self.environment(language.tag).get_template(template).render(values)

    def _environment(self, tag: str) -> Environment:
        language = language_of(tag)
        environment = Environment(
            loader=self._loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            bytecode_cache=self._compiled,
            extensions=["jinja2.ext.i18n"],
        )
        environment.policies["ext.i18n.trimmed"] = True
        # The extension adds this method to the class.
        environment.install_gettext_translations(  # type: ignore[attr-defined]
            language.translations, newstyle=True
        )
        environment.globals |= {
            "brand": self.brand,
            "language": tag,
            "languages": LANGUAGES,
            "script": Markup(SCRIPT),  # noqa: S704 (it is ours)
        }
        environment.filters |= {
            "readable": language.moment,
            "machine_readable": machine_readable,
            "device_icon": device_icon,
            "device_name": lambda name: device_name(name, language),
        }
        environment.tests |= {"quoted": is_quoted, "moment": is_moment}
        return environment
