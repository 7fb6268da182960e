"""``clusterpass config``: the settings, where each comes from, and whether they work."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option, print_json, print_table
from clusterpass.cli.store_connection import config_option
from clusterpass.model.errors import ConfigurationError

if TYPE_CHECKING:
    from clusterpass.service.settings.service import Settings


@click.group()
def config() -> None:
    """Show and check the settings of the service.

    docs/reference/settings.md lists all settings. The environment takes precedence over the file.
    """


@config.command(
    epilog=examples(
        "clusterpass config show --config clusterpass.toml", "clusterpass config show --set --json"
    )
)
@config_option
@click.option("--set", "only_set", is_flag=True, help="Leave out what has its default.")
@json_option
def show(config: Path | None, only_set: bool, as_json: bool) -> None:
    """Show every setting, its value, and where the value comes from.

    Secrets are left out: of the store URL the password and the options are hidden. The values are
    those that "clusterpass serve" would use, apart from its own options.
    """
    from clusterpass.service.settings.origins import load_with_origins  # noqa: PLC0415

    settings, origins = load_with_origins(config)
    values = _without_secrets(settings)
    names = [name for name in values if not only_set or origins[name] != "default"]
    if as_json:
        print_json({name: {"value": values[name], "source": origins[name]} for name in names})
    else:
        rows = [(name, _as_text(values[name]), origins[name]) for name in names]
        print_table(("SETTING", "VALUE", "SOURCE"), rows)


@config.command(
    epilog=examples("clusterpass config check --config clusterpass.toml && systemctl restart ...")
)
@config_option
@json_option
@click.pass_context
def check(context: click.Context, config: Path | None, as_json: bool) -> None:
    """Check all that "clusterpass serve" checks before it starts, without starting.

    That is the settings, the signing keys, the password check, the rules of authz_policy, and that
    the addresses to listen on are of this machine; so run it where the service will run. The ports
    may be in use, as by the service that runs now. Of the store it is asked whether the keys
    and secrets in it open with key_encryption_keys, and standard error says if it does not answer;
    "clusterpass doctor" inspects all else.

    The exit status is 0 if the service would start and issue tokens, and 1 if it would not.
    """
    try:
        settings = _would_start(config)
        unasked = _would_open(settings)
    except ConfigurationError as error:
        if not as_json:
            raise
        print_json({"valid": False, "problem": error.message})
        context.exit(ExitStatus.FAILED)
    if unasked:
        click.echo(f"note: whether what the store holds opens is not known: {unasked}", err=True)
    if as_json:
        print_json({"valid": True, "problem": None})
    else:
        click.echo("The settings are valid.")


def _would_open(settings: "Settings") -> str:
    """Return why the store could not be asked; empty: it was.

    Raises ConfigurationError for keys and secrets in it that do not open.
    """
    from clusterpass import ClusterPassError, KeyRing, SessionManager  # noqa: PLC0415
    from clusterpass.doctor.checks.secrets import secrets  # noqa: PLC0415 - quick --help
    from clusterpass.doctor.see_secrets import see_secrets  # noqa: PLC0415 - quick --help
    from clusterpass.doctor.stored_secrets import SecretSettings  # noqa: PLC0415 - quick --help
    from clusterpass.store.store_url import parse_store_url  # noqa: PLC0415

    url = settings.full_store_url()
    if parse_store_url(url).is_embedded:
        return ""  # its store begins with it
    keys = settings.key_ring() if settings.managed_keys else KeyRing.generate()
    config = settings.session_config(keys)
    try:
        with SessionManager.from_url(url, config) as sessions:
            seen = see_secrets(sessions.store, SecretSettings.of(config))
    except ConfigurationError:
        raise
    except ClusterPassError as error:
        return error.message
    problems = [each for each in secrets.judge(seen) if each.severity == "problem"]
    if problems:
        raise ConfigurationError(f"{problems[0].found} {problems[0].remedy}")
    return ""


def _would_start(file: Path | None) -> "Settings":
    import sys  # noqa: PLC0415 - its path is changed

    from clusterpass.service.app import create_app  # noqa: PLC0415 - quick --help
    from clusterpass.service.server import check_addresses  # noqa: PLC0415
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings(file)
    if settings.password_check:
        sys.path.insert(0, str(Path.cwd()))  # as "serve" does
    create_app(settings)
    check_addresses(settings, may_be_in_use=True)
    return settings


def _without_secrets(settings: "Settings") -> dict[str, Any]:
    """The settings as JSON values, without what is secret."""
    from clusterpass.store.store_url import redact_store_url  # noqa: PLC0415 - quick --help

    shown: dict[str, Any] = settings.model_dump(mode="json")  # hides each SecretStr
    shown["store_url"] = redact_store_url(settings.store_url.get_secret_value())
    return shown


def _as_text(value: object) -> str:
    if value is None or value in ("", []):
        return "-"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
