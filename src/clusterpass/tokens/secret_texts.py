"""The text form of 32-byte random secrets in settings: a prefix for the kind, then base64url."""

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.encoding import decode_base64url, encode_base64url

MOST: Final = 16
_BYTES: Final = 32
_PREFIX_LENGTH: Final = 4
_FEWEST_DIFFERENT: Final = 12
_BODY: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class SecretKind:
    """One kind of secret, and the setting that holds several of it."""

    prefix: str
    """What each text begins with, four characters."""
    setting: str
    """The name of the setting, for errors."""
    noun: str
    """What one is called."""
    command: str
    """The command that makes one."""

    def new(self) -> str:
        """Return a new secret."""
        return self.prefix + encode_base64url(secrets.token_bytes(_BYTES))

    def parse(self, texts: object) -> tuple[str, ...]:
        """Return ``texts`` as a tuple, if each is a secret of this kind and none is there twice.

        ``texts``: an iterable of texts, or one text in which blanks or commas separate them.
        Raises ConfigurationError, which never shows a secret.
        """
        if isinstance(texts, str):
            texts = [each for each in re.split(r"[\s,]+", texts) if each]
        if not isinstance(texts, Iterable):
            raise ConfigurationError(f"{self.setting} must be texts; make one with: {self.command}")
        found = tuple(texts)
        for number, text in enumerate(found, 1):
            if not self._is_one(text):
                raise ConfigurationError(
                    f"number {number} of {self.setting} is none: a {self.noun} is {self.prefix} and"
                    f" 43 random characters; make one with: {self.command}"
                )
        if len(set(found)) < len(found):
            raise ConfigurationError(f"{self.setting} has the same {self.noun} twice")
        if len(found) > MOST:
            raise ConfigurationError(f"{self.setting} must hold at most {MOST} {self.noun}s")
        return found

    def _is_one(self, text: object) -> bool:
        if not isinstance(text, str) or not text.startswith(self.prefix):
            return False
        if not _BODY.fullmatch(text[_PREFIX_LENGTH:]):
            return False
        try:
            value = value_of(text)
        except ValueError:
            return False
        return len(value) == _BYTES and len(set(value)) >= _FEWEST_DIFFERENT


def value_of(text: str) -> bytes:
    """Return the 32 bytes of a text of any kind that was accepted before."""
    return decode_base64url(text[_PREFIX_LENGTH:])
