"""The settings of the service, from the environment and a TOML file.

- ``CLUSTERPASS_NAME`` in the environment takes precedence over ``name`` in the file, whose path is
  in ``CLUSTERPASS_CONFIG`` or ``--config``. An unknown key in the file is rejected.
- An invalid setting raises ConfigurationError, which names the setting and how to correct it, but
  never its value, which may be a password.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from clusterpass import Config, ConfigurationError
from clusterpass.service.settings.service import Settings

PREFIX: Final = "CLUSTERPASS_"
CONFIG_VARIABLE: Final = "CLUSTERPASS_CONFIG"
_ALIKE: Final = 0.75
"""From which likeness on an unknown name is taken for a misspelt one."""
_LARGEST: Final = 1 << 20
_of_pipes: Final[dict[Path, bytes]] = {}
"""What pipes held, such as ``--config <(...)``: nobody can read it there again."""
_OF_OTHERS: Final = frozenset({each.name for each in fields(Config)} | {"config"})
"""What is read elsewhere: by the library alone, or before the settings."""


def load_settings(
    config_file: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings from ``overrides``, the environment, the file and the defaults, in order.

    ``config_file``: the path of a TOML file, by default that in ``CLUSTERPASS_CONFIG``, if set.
    Raises ConfigurationError.
    """
    return make_settings(overrides or {}, settings_in_file(config_file))


def make_settings(overrides: Mapping[str, Any], file: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings from ``overrides``, the environment, ``file`` and the defaults, in order.

    ``file``: what a file says; by default, none is read. Raises ConfigurationError.
    """
    given = {**(file or {}), **settings_in_environment()}
    given.update((name, value) for name, value in overrides.items() if value is not None)
    try:
        return Settings(**given)
    except ValidationError as error:
        told = dict.fromkeys(map(_describe, error.errors(include_input=False)))
        raise ConfigurationError("; ".join(told)) from None


def settings_in_environment() -> dict[str, Any]:
    """Return the settings in the environment, as texts. A variable's name may be in any case.

    Raises ConfigurationError for a misspelt name. Others may be there: Kubernetes sets variables
    for a Service that is named clusterpass, and an application may have its own.
    """
    found = {}
    for variable, value in os.environ.items():
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].lower()
        if prefix != PREFIX:
            continue
        if name in Settings.model_fields:
            found[name] = value
        elif name not in _OF_OTHERS and (meant := _nearest(name)):
            raise ConfigurationError(
                f"{variable} is no setting; did you mean {PREFIX}{meant.upper()}?"
            )
    return found


def _nearest(name: str) -> str | None:
    """The setting that ``name`` is like, also in capitals and with the prefix of variables."""
    from difflib import get_close_matches  # noqa: PLC0415 - for a stray name alone

    plain = name.lower().removeprefix(PREFIX.lower())
    return next(iter(get_close_matches(plain, Settings.model_fields, 1, _ALIKE)), None)


def settings_in_file(config_file: str | Path | None) -> dict[str, Any]:
    """Return what the file says, unchecked; nothing where there is none.

    ``config_file``: by default that in ``CLUSTERPASS_CONFIG``. Raises ConfigurationError when it
    cannot be read.
    """
    named = config_file or os.environ.get(CONFIG_VARIABLE)
    if not named:
        return {}
    path = Path(named)
    import tomllib  # noqa: PLC0415 - for a file alone

    try:
        return tomllib.loads(_read(path).decode("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"the configuration file {path} does not exist; check the path in"
            f" --config or {CONFIG_VARIABLE}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"the configuration file {path} is not text in UTF-8; save it in that encoding"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the configuration file {path} is not valid TOML: {error}"
        ) from None


def _read(path: Path) -> bytes:
    """The content of a file, or of a pipe, which a command reads once for all."""
    if path in _of_pipes:
        return _of_pipes[path]
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
        is_regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    if len(content) > _LARGEST:
        raise ConfigurationError(
            f"the configuration file {path} is larger than a mebibyte; check the path"
        )
    if not is_regular:
        _of_pipes[path] = content
    return content


def _describe(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"][:1])
    if not name:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        meant = _nearest(name)
        known = ", ".join(sorted(Settings.model_fields))
        hint = f"did you mean {meant!r}?" if meant else f"the settings are: {known}"
        return f"unknown setting {name!r}; {hint}"
    problem = error["msg"].removeprefix("Value error, ")
    return f"the setting {name} ({PREFIX}{name.upper()}) is invalid: {problem}"
