"""The ``--config`` option of the administrative commands, and the session manager it opens.

These commands neither issue nor verify tokens. They use a throwaway signing key and never read the
keys file of the service.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from clusterpass import SessionManager

Command = TypeVar("Command", bound=Callable[..., Any])
Manager = TypeVar("Manager", bound="SessionManager")

_LONGEST_NAME: Final = 64
CONFIG_HELP: Final = (
    "TOML file with the settings of the service.  [default: $CLUSTERPASS_CONFIG, if set]"
)


def config_option(command: Command) -> Command:
    """Add the option ``--config PATH`` to a command or group."""
    option = click.option(
        "--config", metavar="PATH", type=click.Path(path_type=Path), help=CONFIG_HELP
    )
    return option(command)


@contextmanager
def open_sessions(config: Path | None) -> "Iterator[SessionManager]":
    """Open a session manager on the store that the settings name, and close it at the end.

    ``config``: the TOML file, or None for the environment alone. Raises ConfigurationError when
    the settings are invalid.
    """
    from clusterpass import SessionManager  # noqa: PLC0415 - quick --help

    with open_manager(SessionManager, config) as sessions:
        yield sessions


@contextmanager
def open_about(config: Path | None, name: str) -> "Iterator[tuple[SessionManager, Named]]":
    """Open a session manager, as :func:`open_sessions` does; also whom ``name`` means."""
    from clusterpass import StoreUnavailable, UserDirectory  # noqa: PLC0415 - quick --help
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    has_directory = load_settings(config).password_check is None
    with open_sessions(config) as sessions:
        if not has_directory:
            yield sessions, Named(name)
            return
        with UserDirectory(sessions) as users:
            subject = users.subject_of(name)

            def is_known() -> bool | None:
                try:
                    found = users.find(subject)
                except StoreUnavailable:
                    return None
                return found is not None and found.name == subject

            yield sessions, Named(subject, is_known)


@dataclass(frozen=True, slots=True)
class Named:
    """Whom a name on the command line means."""

    subject: str
    """The subject, as logins by that name have it."""
    is_known: Callable[[], bool | None] = lambda: None
    """Whether the user directory has the user, which asks the store; None: there is no directory,
    or it cannot be asked."""


@contextmanager
def open_manager(kind: type[Manager], config: Path | None) -> Iterator[Manager]:
    """Open a session manager of ``kind``, as :func:`open_sessions` does."""
    from clusterpass import KeyRing  # noqa: PLC0415 - quick --help
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    with_throwaway_key = settings.session_config(KeyRing.generate())
    store_url = settings.full_store_url()
    with (
        acting_user(),
        kind.from_url(store_url, with_throwaway_key) as sessions,
    ):
        yield sessions


@contextmanager
def acting_user() -> Iterator[None]:
    """Say for the audit trail that the user of this machine acts, who runs the command."""
    from clusterpass import acting  # noqa: PLC0415 - quick --help

    with acting(f"os:{_user_name()}", via="command"):
        yield


def _user_name() -> str:
    """Who runs the command, also behind sudo: what the environment says counts for root alone."""
    import pwd  # noqa: PLC0415 - there is none on Windows

    number = os.getuid()
    told = os.environ.get("SUDO_USER") if number == 0 else None
    try:
        return (told or pwd.getpwuid(number).pw_name)[:_LONGEST_NAME]
    except KeyError:  # no name belongs to the number
        return str(number)
