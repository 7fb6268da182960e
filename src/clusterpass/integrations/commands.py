"""The commands ``sessions`` and ``kick``, which integrations add to a framework's command line."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import click

from clusterpass.integrations.settings import Setup
from clusterpass.managers.sync.manager import SessionManager

Group = TypeVar("Group", bound=click.Group)


def add_commands(
    group: Group, opened: Callable[[], AbstractContextManager[SessionManager]]
) -> Group:
    """Add the commands to ``group``, and return it.

    ``opened``: returns a context in which the manager of the application is open.
    """

    @group.command("sessions")
    @click.argument("subject")
    def list_sessions(subject: str) -> None:
        """List the live sessions of SUBJECT."""
        with opened() as manager:
            for session in manager.sessions(subject):
                click.echo(f"{session.session_id}  {session.device or '-'}")

    @group.command("kick")
    @click.argument("subject")
    def kick(subject: str) -> None:
        """End all sessions of SUBJECT, on every server."""
        with opened() as manager:
            click.echo(f"{manager.revoke_all(subject).count} sessions ended")

    return group


def open_manager(setup: Setup | None) -> SessionManager:
    """Return a manager for a command that has none of the application's.

    ``setup``: the settings of the application; None: it opens sessions itself, and its commands
    raise UsageError.
    """
    if setup is None:
        raise click.UsageError("the application opens its session manager itself")
    return SessionManager.from_url(setup.store_url, setup.config)
