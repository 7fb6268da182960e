"""The settings of the store connection: its URL, and those that become options of the URL."""

from pathlib import Path
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from clusterpass import ConfigurationError, parse_store_url

PREFIX: Final = "store_"
_DEFAULT_STORE: Final = "redis+cluster://127.0.0.1:7000"


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


class StoreSettings(StoreAccess):
    """Settings for the store of the sessions."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
        defer_build=True,  # of all that inherits from this only the last is ever used
    )

    store_url: SecretStr = Field(
        default=SecretStr(_DEFAULT_STORE),
        description="The URL of the session store: redis+cluster://host:port[,host:port...],"
        " redis+sentinel://host[:26379],.../service, redis:// for a single server, rediss... for"
        " TLS, embedded:// for a trial.",
    )

    @field_validator("store_url")
    @classmethod
    def _parseable(cls, value: SecretStr) -> SecretStr:
        parse_store_url(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        parse_store_url(self.full_store_url()).check_files()
        return self

    def full_store_url(self) -> str:
        """Return ``store_url`` with what other settings say of the store as its options.

        The URL may hold a password and a passphrase.
        """
        return with_options(self.store_url.get_secret_value(), self.store_options())


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
