"""``clusterpass keys``: signing keys in files and in the store, and the secrets beside them."""

import json
from pathlib import Path
from typing import Any, cast, get_args

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.output import json_option, print_json
from clusterpass.cli.stored_keys import stored
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.key_file import KeyFile, KeyFileAccess
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh_secrets import new_refresh_secret


@click.group()
def keys() -> None:
    """Generate, import and rotate signing keys, and export their public part."""


def of_the_file(command: Any) -> Any:
    """Add the options by which files with keys are read, as settings of the service name them."""
    for option in (
        click.option(
            "--passphrase-file",
            type=click.Path(path_type=Path),
            envvar="CLUSTERPASS_KEYS_PASSPHRASE_FILE",
            help="File with the passphrase of encrypted PEM keys."
            " [CLUSTERPASS_KEYS_PASSPHRASE_FILE]",
        ),
        click.option(
            "--access",
            type=click.Choice(get_args(KeyFileAccess)),
            default="private",
            show_default=True,
            envvar="CLUSTERPASS_KEYS_FILE_ACCESS",
            help="Whether a file that others can read is refused. [CLUSTERPASS_KEYS_FILE_ACCESS]",
        ),
    ):
        command = option(command)
    return command


@keys.command(epilog=examples("clusterpass keys generate --output keys.json"))
@click.option(
    "--algorithm",
    type=click.Choice(get_args(SigningAlgorithm)),
    default="EdDSA",
    show_default=True,
    help="Signing algorithm. HS256 is a shared secret: whoever can verify tokens can issue them.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("keys.json"),
    show_default=True,
    help="File to create. An existing file is never overwritten.",
)
@json_option
def generate(algorithm: str, output: Path, as_json: bool) -> None:
    """Generate a private signing key, readable by its owner only.

    The output is a JWK Set. CLUSTERPASS_KEYS_FILE tells the service where it is.
    """
    ring = KeyRing.generate(cast("SigningAlgorithm", algorithm))
    ring.save(output)
    _tell_what_was_written(ring, output, as_json=as_json)


@keys.command(epilog=examples("clusterpass keys public keys.json > jwks.json"))
@click.argument("file", type=click.Path(path_type=Path))
@of_the_file
def public(file: Path, **how: Any) -> None:
    """Print the public part of the keys in FILE as a JWK Set.

    Whoever has it can verify tokens but cannot issue any. FILE is what "keys generate" created, or
    keys in PEM.
    """
    jwks = KeyFile(file, **how).load().public_jwks()
    if not jwks["keys"]:
        raise ConfigurationError(f"{file} holds a shared secret (HS256), which has no public part")
    click.echo(json.dumps(jwks, indent=2))


@keys.command("refresh-secret", epilog=examples("clusterpass keys refresh-secret"))
def refresh_secret() -> None:
    """Print a new secret for CLUSTERPASS_REFRESH_SECRETS.

    Put it before those that are there: the first makes refresh tokens, all are accepted.
    """
    click.echo(new_refresh_secret())


@keys.command("encryption-key", epilog=examples("clusterpass keys encryption-key"))
def encryption_key() -> None:
    """Print a new key for CLUSTERPASS_KEY_ENCRYPTION_KEYS.

    Put it before those that are there: the first wraps the secrets in the store, all unwrap.
    """
    click.echo(new_encryption_key())


@keys.command(name="import", epilog=examples("clusterpass keys import server.pem"))
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("keys.json"),
    show_default=True,
    help="File to create. An existing file is never overwritten.",
)
@of_the_file
@json_option
def import_keys(files: tuple[Path, ...], output: Path, *, as_json: bool, **how: Any) -> None:
    """Write the keys in FILES to one JWK Set, readable by its owner only.

    FILES are keys in PEM (PKCS#8, PKCS#1, SEC1, OpenSSH, certificates) or JWK Sets. The first
    private key signs; each PEM key gets its thumbprint (RFC 7638) as key id.
    """
    ring = KeyRing(key for file in files for key in KeyFile(file, **how).load().all())
    ring.save(output)
    _tell_what_was_written(ring, output, as_json=as_json, with_halves=True)


def _tell_what_was_written(
    ring: KeyRing, output: Path, *, as_json: bool, with_halves: bool = False
) -> None:
    """Say which keys are in ``output`` now; nothing of them is secret."""
    written = [
        {"key_id": key.kid, "algorithm": key.algorithm, "private": key.is_private}
        for key in ring.all()
    ]
    if as_json:
        print_json({"file": str(output), "keys": written})
        return
    for key in ring.all():
        half = f" {'private' if key.is_private else 'public'}" if with_halves else ""
        click.echo(f"wrote one{half} {key.algorithm} key to {output}, key id {key.kid}", err=True)


for command in stored.commands.values():
    keys.add_command(command)
