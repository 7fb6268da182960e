"""``clusterpass keys``: generate signing keys and export their public part."""

import json
import os
from pathlib import Path
from typing import cast, get_args

import click

from clusterpass.cli.help_text import examples
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.algorithms import SigningAlgorithm
from clusterpass.tokens.key_encryption import new_encryption_key
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh_secrets import new_refresh_secret


@click.group()
def keys() -> None:
    """Generate signing keys and export their public part."""


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
def generate(algorithm: str, output: Path) -> None:
    """Generate a private signing key, readable by its owner only.

    The output is a JWK Set. CLUSTERPASS_KEYS_FILE tells the service where it is.
    """
    ring = KeyRing.generate(cast("SigningAlgorithm", algorithm))
    write_secret(output, ring.private_jwks_text())
    click.echo(f"wrote one {algorithm} key to {output}, key id {ring.signing_key.kid}", err=True)


@keys.command(epilog=examples("clusterpass keys public keys.json > jwks.json"))
@click.argument("file", type=click.Path(path_type=Path))
def public(file: Path) -> None:
    """Print the public part of the keys in FILE as a JWK Set.

    Whoever has it can verify tokens but cannot issue any. FILE is what "keys generate" created.
    """
    jwks = KeyRing.load(file).public_jwks()
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


def write_secret(path: Path, text: str) -> None:
    """Create the file ``path`` with mode 0600 and write ``text`` into it.

    Raises ConfigurationError if the file exists already or cannot be created.
    """
    # Created with its final mode: at no moment can others read it.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already and is not overwritten; choose another file with --output"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be created: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
