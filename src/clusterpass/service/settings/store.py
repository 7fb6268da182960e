"""The settings of how the store is reached, beside its URL: they become options of the URL."""

from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel, Field, SecretStr

from clusterpass import ConfigurationError

PREFIX: Final = "store_"


class StoreAccess(BaseModel):
    """Secrets, names and addresses, each of which may also be an option of ``store_url``."""

    store_password_file: Path | None = Field(
        default=None,
        description="The path of a file with the password of the session store, read again for each"
        " connection; the user is that of store_url.",
    )
    store_key_password: SecretStr | None = Field(
        default=None,
        description="The passphrase of the private key that key_file of store_url names, if the key"
        " is encrypted.",
    )
    store_key_password_file: Path | None = Field(
        default=None,
        description="The path of a file with that passphrase, read again whenever the TLS files"
        " have changed.",
    )
    store_server_name: str = Field(
        default="",
        description="The name that the certificates of all servers of the session store bear, also"
        " sent as SNI; empty: the name or address of each.",
    )
    store_address_remap: str = Field(
        default="",
        description="Where servers are reached whose own addresses do not lead there, as behind"
        " NAT: `ANNOUNCED=REACHED`, separated by commas, such as"
        " `10.0.0.1:7000=127.0.0.1:17000`.",
    )

    def store_options(self) -> dict[str, str]:
        """The options of the store URL that these settings stand for."""
        found = {}
        for setting in StoreAccess.model_fields:
            value = getattr(self, setting)
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
            if text:
                found[setting.removeprefix(PREFIX)] = text
        return found


def with_options(url: str, options: dict[str, str]) -> str:
    """``url``, a store URL, with ``options``.

    Raises ConfigurationError that names the setting where the URL has the option as well.
    """
    if not options:
        return url
    present = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
    for name in sorted(options.keys() & present):
        raise ConfigurationError(f"{PREFIX}{name} is also an option of store_url: leave one out")
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in options.items())
    base = url.removesuffix("?")
    return f"{base}{'&' if '?' in base else '?'}{added}"
