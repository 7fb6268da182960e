"""The commands ``flask clusterpass ...``."""

from collections.abc import Callable

import click
from flask.cli import AppGroup

from clusterpass.managers.sync.manager import SessionManager


def make_commands(sessions: Callable[[], SessionManager]) -> click.Group:
    """Return the group of commands; ``sessions``: returns the manager of the application."""
    group = AppGroup("clusterpass", help="Sessions of this application's users.")

    @group.command("sessions")
    @click.argument("subject")
    def list_sessions(subject: str) -> None:
        """List the live sessions of SUBJECT."""
        for session in sessions().sessions(subject):
            click.echo(f"{session.session_id}  {session.device or '-'}")

    @group.command("kick")
    @click.argument("subject")
    def kick(subject: str) -> None:
        """End all sessions of SUBJECT, on every server."""
        click.echo(f"{sessions().revoke_all(subject).count} sessions ended")

    return group
