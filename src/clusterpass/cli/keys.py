"""``clusterpass keys``: make signing keys, publish their public halves."""

import json
import os
from pathlib import Path
from typing import cast, get_args

import click

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.keys import SigningAlgorithm


@click.group()
def keys() -> None:
    """Make and publish signing keys."""


@keys.command()
@click.option(
    "--algorithm",
    type=click.Choice(get_args(SigningAlgorithm)),
    default="EdDSA",
    show_default=True,
    help="HS256 is a shared secret: whoever can verify can also sign.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("keys.json"),
    show_default=True,
    help="The file to make; one that exists is never overwritten.",
)
def generate(algorithm: str, output: Path) -> None:
    """Make a new private key in a file that only its owner can read."""
    ring = KeyRing.generate(cast("SigningAlgorithm", algorithm))
    write_secret(output, ring.private_jwks_text())
    click.echo(f"wrote {output}: one {algorithm} key, kid {ring.signing_key.kid}", err=True)


@keys.command()
@click.argument("file", type=click.Path(path_type=Path))
def public(file: Path) -> None:
    """Print the public halves of the keys in FILE, as a JWK Set to give away."""
    jwks = KeyRing.load(file).public_jwks()
    if not jwks["keys"]:
        raise ConfigurationError(f"{file} holds a shared secret (HS256), which has no public half")
    click.echo(json.dumps(jwks, indent=2))


def write_secret(path: Path, text: str) -> None:
    """Make the file ``path`` for its owner only; ConfigurationError when it is there already."""
    # Made with its mode, and only if it is not there: never readable by others for a moment.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists and is not overwritten; name another file with --output"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror})") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
