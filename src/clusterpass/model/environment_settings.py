"""Reads settings from environment variables whose names the caller gives.

- An error names the variable and what kind of value it takes, never its actual value.
- A variable whose name is nearly that of a setting is refused: otherwise a typo would be ignored.
"""

import logging
import os
import shlex
import stat
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from clusterpass.model.errors import ConfigurationError

logger: Final = logging.getLogger("clusterpass.keys")
_LARGEST_FILE: Final = 64 * 1024
_ALIKE: Final = 0.75
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def read_variables(
    environ: Mapping[str, str], prefix: str, kinds: Mapping[str, type], others: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the settings that ``environ`` contains, by name.

    ``prefix``: what the name of each variable begins with. ``kinds``: the type of each setting:
    ``int``, ``float``, ``bool``, ``str``, or ``tuple`` and ``frozenset`` of texts that commas
    separate. ``others``: names of variables that somebody else reads. An empty variable counts as
    absent. Raises ConfigurationError for a value of another type, and for a misspelt name.
    """
    known = {f"{prefix}{name.upper()}": name for name in kinds}
    theirs = {f"{prefix}{name.upper()}" for name in others}
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if variable in known and text.strip():
            name = known[variable]
            found[name] = _convert(variable, text.strip(), kinds[name])
        elif variable.startswith(prefix) and variable not in known and variable not in theirs:
            from difflib import get_close_matches  # noqa: PLC0415 - for a stray name alone

            # Without the prefix, which makes short names alike.
            names = [each.removeprefix(prefix) for each in (*known, *theirs)]
            meant = get_close_matches(variable.removeprefix(prefix), names, 1, _ALIKE)
            if meant:
                raise ConfigurationError(
                    f"{variable} is no setting; did you mean {prefix}{meant[0]}?"
                )
    return found


def _convert(variable: str, text: str, kind: type) -> Any:
    reads: dict[type, tuple[Callable[[str], Any], str]] = {
        int: (int, "a whole number"),
        float: (float, "a number"),
        bool: (lambda value: _BOOLEANS[value.lower()], "true or false"),
        str: (str, "text"),
        tuple: (_split, "names, separated by commas"),
        frozenset: (lambda value: frozenset(_split(value)), "names, separated by commas"),
    }
    read, meaning = reads[kind]
    try:
        return read(text)
    except (ValueError, KeyError):
        raise ConfigurationError(f"{variable} must be {meaning}") from None


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_secret_file(name: str, path: str | Path) -> str:
    """Return the text of the file ``path`` without the blanks around it.

    ``name``: of the setting whose value the file holds. Raises ConfigurationError, which names the
    setting and the file, when the file cannot be read or is empty.
    """
    try:
        with Path(path).open("rb") as file:
            facts = os.fstat(file.fileno())
            held = file.read(_LARGEST_FILE + 1)
        text = held.decode("utf-8").strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ConfigurationError(f"{name}: the file {path} cannot be read ({why})") from None
    if len(held) > _LARGEST_FILE:
        raise ConfigurationError(f"{name}: the file {path} is larger than {_LARGEST_FILE} bytes")
    if not text:
        raise ConfigurationError(f"{name}: the file {path} is empty")
    is_others = os.name == "posix" and facts.st_mode & (stat.S_IRWXO | stat.S_IWGRP)
    if is_others and stat.S_ISREG(facts.st_mode):
        _warn(name, str(path))
    return text


@lru_cache(maxsize=16)
def _warn(name: str, path: str) -> None:
    """Tell once that others have the secrets, too; not more, as some mounts have no other modes."""
    logger.warning(
        "%s: other users of this machine can use the file %s; run: chmod 600 %s",
        *(name, path, shlex.quote(path)),
    )
