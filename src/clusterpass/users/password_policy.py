"""The rules for new passwords, by NIST SP 800-63B-4, section 3.1.1.2.

- A length that the operator sets, and no rules about kinds of characters.
- Not one of the most common passwords, compared as a whole. The list is that of Django
  (``common_passwords.LICENSE``), without the entries that are too short anyway.
- Not little more than the name of the user.

The policy applies when a password is chosen. Users whose password is older can still log in.
"""

import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from clusterpass.limits import SHORTEST_NEW_PASSWORD
from clusterpass.model.errors import ConfigurationError, PasswordRefused
from clusterpass.model.json_form import Value
from clusterpass.users.passwords import check_new_password

_MOST_REQUIRED: Final = 64
"""NIST has verifiers permit passwords of this length, so none that is longer may be required."""
_SHORTEST_NAME: Final = 3
"""Characters of the shortest name that a password is searched for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordPolicy(Value):
    """The rules for new passwords; the constructor raises ConfigurationError."""

    shortest: int = SHORTEST_NEW_PASSWORD
    """The fewest characters, 8 to 64. NIST requires 15 where the password is the only factor."""

    def __post_init__(self) -> None:
        if not SHORTEST_NEW_PASSWORD <= self.shortest <= _MOST_REQUIRED:
            raise ConfigurationError(
                f"a password policy requires {SHORTEST_NEW_PASSWORD} to {_MOST_REQUIRED} characters"
            )

    def check(self, password: object, username: str) -> None:
        """Return if ``password`` may become that of ``username``.

        Raises PasswordRefused if not, and InvalidInput for what cannot be a password at all.
        """
        text = check_new_password(password, self.shortest).decode("utf-8")
        folded = _folded(text)
        if is_common(folded):
            raise PasswordRefused(
                "This password is one of the most common ones; choose another", reason="too_common"
            )
        if any(
            len(folded.replace(name, "")) < SHORTEST_NEW_PASSWORD
            for name in _names(username, folded)
        ):
            raise PasswordRefused(
                "This password is little more than the user name; choose another",
                reason="like_user_name",
            )


def is_common(password: str) -> bool:
    """Return whether ``password`` is one of the most common ones, in capitals or not."""
    line = _folded(password).encode("utf-8", "replace")
    return b"\n" not in line and b"\n%b\n" % line in _common()


@cache
def _common() -> bytes:
    # One text, not a set of strings: that would take ten times the memory of each worker.
    return files(__package__).joinpath("common_passwords.txt").read_bytes()


def _names(username: str, password: str) -> set[str]:
    """Return the forms of ``username``, whole and without a domain, that ``password`` contains."""
    name = _folded(username)
    forms = {name, name.partition("@")[0]}
    return {each for each in forms if len(each) >= _SHORTEST_NAME and each in password}


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
