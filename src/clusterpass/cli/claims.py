"""``clusterpass claims``: change what the live sessions of a subject claim, without a new login."""

import json
import sys
from pathlib import Path

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import (
    confirmed,
    counted,
    json_option,
    print_json,
    print_outcome,
    printable,
)
from clusterpass.cli.store_connection import config_option, open_about
from clusterpass.model.errors import InvalidInput


@click.group()
@config_option
@click.pass_context
def claims(context: click.Context, config: Path | None) -> None:
    """Show and replace the live claims of a subject.

    Live claims apply to every session of the subject at once, on top of the claims that each login
    was given. They last as long as the subject has a session.
    """
    context.obj = config


@claims.command()
@click.argument("subject")
@click.option("--json", is_flag=True, expose_value=False, help="Print JSON, as always.")
@click.pass_obj
def get(config: Path | None, subject: str) -> None:
    """Print the live claims of SUBJECT as a JSON object."""
    with open_about(config, subject) as (manager, named):
        print_json(dict(manager.claims.get(named.subject)))


@claims.command(
    "set",
    epilog=examples(
        """clusterpass claims set alice '{"plan": "pro"}'""",
        "clusterpass claims set alice - < claims.json",
        "clusterpass claims set alice '{}'    # remove all live claims",
    ),
)
@click.argument("subject")
@click.argument("text", metavar="JSON")
@json_option
@click.pass_obj
def set_claims(config: Path | None, subject: str, text: str, as_json: bool) -> None:
    """Replace the live claims of SUBJECT.

    JSON is an object with the new claims, or - to read it from standard input. Claims that it does
    not mention are removed.
    """
    try:
        members = json.loads(sys.stdin.read() if text == "-" else text)
    except (ValueError, RecursionError):
        raise InvalidInput("the claims are not valid JSON") from None
    if not isinstance(members, dict):
        raise InvalidInput('the claims must be a JSON object, such as {"plan": "pro"}')
    with open_about(config, subject) as (manager, named):
        subject = named.subject
        applied = manager.claims.set(subject, members)
    sentence = f"updated {counted(applied.count, 'session')}{confirmed(durable=applied.durable)}"
    if applied.count == 0 and members:
        sentence = f"{printable(subject)} has no live session, so nothing was stored"
    told = {"subject": subject, "updated": applied.count, "durable": applied.durable}
    print_outcome(sentence, told, as_json=as_json)
