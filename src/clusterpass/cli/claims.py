"""``clusterpass claims``: what live sessions say of a subject, changed without a new login."""

import json
import sys
from pathlib import Path

import click

from clusterpass.cli.store import config_option, confirmed, counted, open_sessions, print_json
from clusterpass.model.errors import InvalidInput


@click.group()
@config_option
@click.pass_context
def claims(context: click.Context, config: Path | None) -> None:
    """Show and change the live claims of a subject."""
    context.obj = config


@claims.command()
@click.argument("subject")
@click.pass_obj
def get(config: Path | None, subject: str) -> None:
    """Print the live claims of SUBJECT as JSON."""
    with open_sessions(config) as manager:
        print_json(dict(manager.claims.get(subject)))


@claims.command("set")
@click.argument("subject")
@click.argument("text", metavar="JSON")
@click.pass_obj
def set_claims(config: Path | None, subject: str, text: str) -> None:
    """Replace the live claims of SUBJECT by the object JSON (-: from the standard input)."""
    try:
        members = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError):
        raise InvalidInput("the claims are not valid JSON") from None
    if not isinstance(members, dict):
        raise InvalidInput('the claims must be a JSON object, such as {"plan": "pro"}')
    with open_sessions(config) as manager:
        applied = manager.claims.set(subject, members)
    if applied.count == 0 and members:
        click.echo("nobody of that name is logged in: nothing was kept")
    else:
        click.echo(
            f"{counted(applied.count, 'session')} changed{confirmed(durable=applied.durable)}"
        )
