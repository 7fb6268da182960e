"""The service's settings: from the environment and a TOML file, checked before anything starts.

- ``CLUSTERPASS_NAME`` in the environment wins over ``name`` in the file; the file is named by
  ``CLUSTERPASS_CONFIG`` or ``--config``. A key of the file that is no setting is refused.
- A setting that is wrong raises a ConfigurationError that names it and what to do; never its value,
  which may be a password.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from clusterpass import (
    ConfigurationError,
    ThrottlePolicy,
)
from clusterpass.limits import DAY
from clusterpass.service.settings.sessions import SessionSettings, split

PREFIX: Final = "CLUSTERPASS_"
CONFIG_VARIABLE: Final = "CLUSTERPASS_CONFIG"

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_DOTTED_PATH: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")

Network = IPv4Network | IPv6Network


class Settings(SessionSettings):
    """Everything that can be set. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="The address to listen on; 0.0.0.0 for all. Speak TLS in a proxy before it.",
    )
    port: int = Field(default=8000, ge=1, le=65_535, description="The TCP port to listen on.")
    workers: int = Field(
        default=1, ge=1, le=256, description="Worker processes; one for each CPU core is a start."
    )
    login_enabled: bool = Field(
        default=True,
        description="Whether POST /login exists; without it sessions are opened by other programs"
        " that share the keys and the store.",
    )
    password_check: str | None = Field(
        default=None,
        description="`module:function` of your own check in place of the user directory. It is"
        " called with (username, password), may be async, and returns True, False or None, or the"
        " subject as a string.",
    )
    hash_concurrency: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Passwords checked at once in each worker; each takes 46 MiB meanwhile.",
    )
    account_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Login attempts that an account has within account_window.",
    )
    account_window: int = Field(
        default=300, ge=1, le=DAY, description="Seconds that an account's attempts are counted."
    )
    address_attempts: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Login attempts that an address (IPv6: a /64) has within address_window.",
    )
    address_window: int = Field(
        default=300, ge=1, le=DAY, description="Seconds that an address's attempts are counted."
    )
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks of the proxies before the service, separated by commas;"
        " X-Forwarded-For is believed from these only.",
    )
    cookie_secure: bool = Field(
        default=True,
        description="Whether the page's cookies are sent over HTTPS only. Turn it off for a trial"
        " on localhost, never elsewhere.",
    )
    administration_max_age: int = Field(
        default=900,
        ge=1,
        le=DAY,
        description="Seconds since an administrator was authenticated, at most, for acts that"
        " change something.",
    )
    step_up_seconds: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds that a password given again counts as a fresh authentication.",
    )
    log_warm_verifies: bool = Field(
        default=False,
        description="Whether a GET /verify that is answered from memory writes a line to the log,"
        " as all other requests do. It costs more than the answer.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json", description="How the log lines look: one JSON object each, or for reading."
    )

    @field_validator("password_check")
    @classmethod
    def _dotted(cls, value: str | None) -> str | None:
        if value is not None and not _DOTTED_PATH.fullmatch(value):
            raise ValueError("write it as module:function, for example myapp.users:check")
        return value

    @field_validator("port", mode="before")
    @classmethod
    def _no_service_link(cls, value: object) -> object:
        # Kubernetes sets CLUSTERPASS_PORT=tcp://... for a Service that is named clusterpass.
        if isinstance(value, str) and value.startswith("tcp://"):
            raise ValueError(
                "holds a Kubernetes service link; set enableServiceLinks: false in the pod, or"
                " rename the Service"
            )
        return value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_networks(cls, value: object) -> object:
        return split(value)

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.workers > 1 and self.store_url.get_secret_value().startswith("embedded:"):
            raise ValueError(
                "with embedded:// each worker would start a cluster of its own: set workers to 1,"
                " or start one with: clusterpass cluster start"
            )
        if not self.cookie_secure and self.host not in _LOOPBACK:
            raise ValueError(
                "cookie_secure may be turned off only where host is a loopback address: a session's"
                " cookie would travel in the clear"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given in code, then the environment. The file is added by load_settings."""
        return init_settings, env_settings

    def throttle(self) -> ThrottlePolicy:
        """The numbers of the login throttle."""
        return ThrottlePolicy(
            account_attempts=self.account_attempts,
            account_window=self.account_window,
            address_attempts=self.address_attempts,
            address_window=self.address_window,
        )


def load_settings(
    config_file: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """The settings from ``overrides``, else the environment, else the file, else the defaults.

    ``config_file``: the file's path, else that in ``CLUSTERPASS_CONFIG``; none is needed. Raises
    ConfigurationError.
    """
    path = config_file or os.environ.get(CONFIG_VARIABLE)
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    try:
        loaded = _with_file(Path(path))(**given) if path else Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error.errors(include_input=False)[0])) from None
    except SettingsError:
        raise ConfigurationError("a setting in the environment cannot be read") from None
    # Always the class itself, so that settings can be sent to another process.
    return Settings.model_construct(
        **{name: getattr(loaded, name) for name in type(loaded).model_fields}
    )


def _with_file(path: Path) -> type[Settings]:
    if not path.is_file():
        raise ConfigurationError(
            f"the configuration file {path} does not exist; name another with --config or"
            f" {CONFIG_VARIABLE}"
        )
    try:
        from_file = TomlConfigSettingsSource(Settings, toml_file=path)
    except (ValueError, OSError) as error:
        raise ConfigurationError(
            f"the configuration file {path} is not valid TOML: {error}"
        ) from None

    class SettingsWithFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, from_file

    return SettingsWithFile


def _sentence(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"][:1])
    if not name:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = ", ".join(sorted(Settings.model_fields))
        return f"there is no setting {name!r}; the settings are: {known}"
    problem = error["msg"].removeprefix("Value error, ")
    return f"the setting {name} ({PREFIX}{name.upper()}) is wrong: {problem}"
