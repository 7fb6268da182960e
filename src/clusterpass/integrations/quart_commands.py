"""The commands ``quart clusterpass ...``. They open a manager of their own, and need no loop."""

import click

from clusterpass.integrations.setup import Setup
from clusterpass.managers.sync.manager import SessionManager


def make_commands(setup: Setup | None) -> click.Group:
    """Return the group of commands of an application.

    ``setup``: its settings; None: the application opens sessions itself, and has no commands.
    """
    group = click.Group("clusterpass", help="Sessions of this application's users.")

    def opened() -> SessionManager:
        if setup is None:
            raise click.UsageError("the application opens its session manager itself")
        return SessionManager.from_url(setup.store_url, setup.config)

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
