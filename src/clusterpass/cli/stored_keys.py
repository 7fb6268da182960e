"""``clusterpass keys list``, ``rotate`` and ``revoke``: the signing keys that the store holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import (
    json_option,
    moment,
    print_json,
    print_outcome,
    print_table,
)
from clusterpass.cli.store_connection import acting_user, config_option, open_sessions
from clusterpass.cli.value_types import IDS_MAY_BEGIN_WITH_A_DASH
from clusterpass.model.errors import ConfigurationError

if TYPE_CHECKING:
    from clusterpass import ManagedKey, SessionManager


stored = click.Group()
"""Holds the commands until ``clusterpass keys`` has them."""


@stored.command("list", epilog=examples("clusterpass keys list", "clusterpass keys list --json"))
@config_option
@json_option
def list_keys(config: Path | None, *, as_json: bool) -> None:
    """Show the signing keys that the store holds.

    A key is published before it signs (next), signs (active), verifies until its last token has
    expired (passive), and is retired then. No token of a revoked key is accepted.
    """
    with open_with_keys(config) as sessions:
        show_keys(sessions.keys.list(), as_json=as_json)


@stored.command(epilog=examples("clusterpass keys rotate"))
@config_option
@json_option
def rotate(config: Path | None, *, as_json: bool) -> None:
    """Make the next signing key in the store, unless there is one.

    It signs after key_publish_before seconds, so that resource servers know it by then.
    """
    with open_with_keys(config) as sessions:
        show_keys(sessions.keys.rotate(), as_json=as_json)


@stored.command(
    epilog=examples("clusterpass keys revoke 2Yw7QnV8 --yes"),
    context_settings=IDS_MAY_BEGIN_WITH_A_DASH,
)
@click.argument("kid")
@config_option
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke(kid: str, config: Path | None, *, as_json: bool, yes: bool) -> None:
    """Accept no token of the key KID any more, such as after a leak.

    If it signs, another key signs at once. Nobody is logged out: clients get new access tokens with
    their refresh tokens.
    """
    if not yes:
        click.confirm(f"Refuse every access token of the key {kid} from now on?", abort=True)
    with open_with_keys(config) as sessions:
        show_keys(sessions.keys.revoke(kid), as_json=as_json)


@stored.command(
    "rotate-refresh-secret",
    epilog=examples(
        "clusterpass keys rotate-refresh-secret",
        "clusterpass keys rotate-refresh-secret --retire-others --yes",
    ),
)
@config_option
@click.option(
    "--retire-others",
    is_flag=True,
    help="Refuse refresh tokens of the secrets before: everybody logs in again.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@json_option
def rotate_refresh_secret(
    config: Path | None, *, retire_others: bool, yes: bool, as_json: bool
) -> None:
    """Make a new secret of refresh tokens in the store.

    It makes tokens within a minute; those of the secrets before are still accepted, so nobody is
    logged out. After a leak of the store give --retire-others.
    """
    if retire_others and not yes:
        click.confirm("Refuse every refresh token of before?", abort=True, err=True)
    with open_sessions(config) as sessions:
        made = sessions.keys.rotate_refresh_secret(retire_others=retire_others)
    print_outcome(
        f"made the refresh secret {made}",
        {"id": made, "others_retired": retire_others},
        as_json=as_json,
    )


@contextmanager
def open_with_keys(config: Path | None) -> "Iterator[SessionManager]":
    """Open a session manager whose signing keys are in the store.

    Raises ConfigurationError where the settings say that they are not.
    """
    from clusterpass import SessionManager  # noqa: PLC0415 - quick --help
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings(config)
    if not settings.managed_keys:
        raise ConfigurationError(
            "the signing keys are in the file of keys_file, not in the store; set managed_keys"
            " (CLUSTERPASS_MANAGED_KEYS), or see: clusterpass keys generate"
        )
    with (
        acting_user(),
        SessionManager.from_url(settings.full_store_url(), settings.session_config()) as sessions,
    ):
        yield sessions


def show_keys(found: "tuple[ManagedKey, ...]", *, as_json: bool) -> None:
    """Print the keys as a table, or as JSON."""
    if as_json:
        print_json([key.to_dict() for key in found])
        return
    rows = [
        (
            key.kid,
            key.algorithm,
            key.state,
            moment(key.signs_from),
            "" if key.verifies_until is None else moment(key.verifies_until),
        )
        for key in found
    ]
    print_table(("kid", "algorithm", "state", "signs from", "verifies until"), rows)
