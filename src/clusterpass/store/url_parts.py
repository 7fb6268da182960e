"""Parses the parts of a store URL that are plain text: options, users, numbers, names.

Each function raises ConfigurationError that names what is wrong, and never quotes a password.
"""

import math
from collections.abc import Set
from typing import Final
from urllib.parse import parse_qsl, unquote

from clusterpass.model.errors import ConfigurationError

_COUNTS: Final = {"max_connections", "max_pending", "max_waiting"}


def read_options(query: str) -> dict[str, str]:
    """The options in ``query`` by name."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ConfigurationError("the options of the store URL are not name=value pairs") from None
    if len(dict(pairs)) != len(pairs):
        raise ConfigurationError("an option of the store URL stands twice")
    return dict(pairs)


def refuse_surplus(names: Set[str]) -> None:
    """Refuse ``names``, the options that no store URL has, unless there are none."""
    if names:
        raise ConfigurationError(f"the store URL has an unknown option {min(names)!r}")


def refuse_databases(text: str) -> None:
    """Refuse any database but 0; ``text``: the number as it is written."""
    if text not in {"", "0"}:
        raise ConfigurationError(
            f"the store URL names the database {text!r}, but ClusterPass uses database 0 alone,"
            " also of a cluster that has others (Valkey 9); give the applications of one store a"
            " namespace each: ?namespace=NAME"
        )


def read_credentials(authority: str) -> tuple[str | None, str | None]:
    """The user and the password before the hosts, each None where it is missing."""
    user_info, separator, _ = authority.rpartition("@")
    if not separator:
        return None, None
    username, _, password = user_info.partition(":")
    return unquote(username) or None, unquote(password) or None


def read_number(name: str, text: str) -> float:
    """The finite number in ``text``, a whole one where the option ``name`` counts."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigurationError(f"{name} in the store URL must be a number, not {text!r}")
    if name in _COUNTS and not number.is_integer():
        raise ConfigurationError(f"{name} in the store URL must be a whole number, not {text!r}")
    return number


def split_service(path: str) -> tuple[str, str]:
    """The name of a Sentinel service in ``path``, what follows the hosts; and the database."""
    name, _, database = path.partition("/")
    if not name:
        raise ConfigurationError(
            "the store URL names no service: write redis+sentinel://host,host/service-name, the"
            " name that stands behind `sentinel monitor`"
        )
    return unquote(name), database
