"""The settings of the service, from the environment and a TOML file.

- ``CLUSTERPASS_NAME`` in the environment takes precedence over ``name`` in the file, whose path is
  in ``CLUSTERPASS_CONFIG`` or ``--config``. An unknown key in the file is rejected.
- An invalid setting raises ConfigurationError, which names the setting and how to correct it, but
  never its value, which may be a password.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from clusterpass import (
    Config,
    ConfigurationError,
    ThrottlePolicy,
    parse_store_url,
)
from clusterpass.limits import DAY, LONGEST_GRACE
from clusterpass.service.settings.accounts import DOTTED_PATH
from clusterpass.service.settings.browsers import PageSettings
from clusterpass.service.settings.page import LooksSettings
from clusterpass.service.settings.sessions import split
from clusterpass.web.settings import WebSettings

PREFIX: Final = "CLUSTERPASS_"
CONFIG_VARIABLE: Final = "CLUSTERPASS_CONFIG"
TOKEN_FIELD: Final = "form_token"  # noqa: S105 (a field's name)
"""The name of the form field that carries the CSRF token on the page."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_GRPC_ADDRESS: Final = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
)

_ALIKE: Final = 0.75
"""From which likeness on an unknown name is taken for a misspelt one."""
_OF_OTHERS: Final = frozenset({each.name for each in fields(Config)} | {"config"})
"""What is read elsewhere: by the library alone, or before the settings."""

Network = IPv4Network | IPv6Network


class Settings(LooksSettings):
    """All settings of the service. Durations are seconds."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="The address to listen on; 0.0.0.0 for all interfaces. Terminate TLS in a"
        " reverse proxy.",
    )
    port: int = Field(default=8000, ge=1, le=65_535, description="The TCP port to listen on.")
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Number of worker processes; start with one per CPU core.",
    )
    login_enabled: bool = Field(
        default=True,
        description="Whether the service offers the page, POST /login and POST /step-up. Turn it"
        " off if other programs that share the keys and the store open the sessions.",
    )
    password_check: str | None = Field(
        default=None,
        description="`module:function` that checks passwords instead of the user directory. The"
        " function is called with (username, password), may be async, and returns True, the subject"
        " as a string, or False or None to reject.",
    )
    hash_concurrency: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Passwords that each worker hashes concurrently; each takes 46 MiB of memory.",
    )
    account_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts of strangers per account within account_window, however"
        " its name is spelt. Successful ones do not count.",
    )
    account_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an account are counted.",
    )
    address_attempts: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts per client address (IPv6: per /64) within"
        " address_window.",
    )
    address_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an address are counted.",
    )
    network_attempts: int = Field(
        default=1000,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts per IPv6 /48 within network_window.",
    )
    network_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of an IPv6 /48 are counted.",
    )
    total_attempts: int = Field(
        default=100_000,
        ge=1,
        le=1_000_000,
        description="Maximum login attempts of all strangers together within total_window.",
    )
    total_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the login attempts of all strangers are counted.",
    )
    known_attempts: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Maximum passwords tried within known_window in a live session (a step-up), or"
        " at its user's account in a browser that the user has logged in with before. These are"
        " counted here alone, so that strangers cannot use them up.",
    )
    known_window: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds over which the passwords tried in a session or a known browser are"
        " counted.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Addresses or networks of the reverse proxies in front of the service,"
        " separated by commas; only their X-Forwarded-For headers are trusted, and what they say"
        " of a request to authorize.",
    )
    authz_policy: Path | None = Field(
        default=None,
        description="The path of a TOML file with the rules of /authz/...: which requests need"
        " what. Requires trusted_proxies. Without it, every request needs a live session, whatever"
        " its host.",
    )
    authz_identity_headers: tuple[Literal["remote", "x-auth-request"], ...] = Field(
        default=(),
        description="Further headers that /authz/... sends, separated by commas: `remote`"
        " (Remote-User, -Groups, -Email, -Name), `x-auth-request` (X-Auth-Request-User, -Groups,"
        " -Email, -Preferred-Username).",
    )
    authz_assertion: bool = Field(
        default=False,
        description="Whether /authz/... sends X-Auth-Assertion, a signed JWT for the upstream;"
        " otherwise the header is empty. Not with HS256 keys.",
    )
    authz_most_grace: int = Field(
        default=300,
        ge=0,
        le=LONGEST_GRACE,
        description="Maximum outage_grace of /authz/... in seconds, whatever a rule or the setting"
        " outage_grace says; 0: none.",
    )
    authz_grpc_address: str | None = Field(
        default=None,
        description="The address and port, such as `127.0.0.1:9001`, on which the service answers"
        " Envoy's ext_authz over gRPC; needs `clusterpass[envoy]`. The connections are not"
        " encrypted: use an address that the proxies alone reach.",
    )
    cookie_secure: bool = Field(
        default=True,
        description="Whether the page's cookies are sent over HTTPS only. Turn it off only for"
        " trials on localhost.",
    )
    administration_max_age: int = Field(
        default=900,
        ge=1,
        le=DAY,
        description="Maximum seconds since an administrator authenticated, for actions that change"
        " something.",
    )
    step_up_seconds: int = Field(
        default=300,
        ge=1,
        le=DAY,
        description="Seconds for which a confirmed password counts as a recent authentication.",
    )
    log_warm_verifies: bool = Field(
        default=False,
        description="Whether GET /verify and /authz/... requests answered from memory are logged"
        " like all other requests. Logging costs more than answering.",
    )
    log_format: Literal["json", "console"] = Field(
        default="json",
        description="Log format: `json`, one object per line, or `console`, for reading.",
    )

    @field_validator("password_check")
    @classmethod
    def _dotted(cls, value: str | None) -> str | None:
        if value is not None and not DOTTED_PATH.fullmatch(value):
            raise ValueError("write it as module:function, for example myapp.users:check")
        return value

    @field_validator("authz_grpc_address")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value.startswith("unix"):
            raise ValueError(
                "is a Unix socket, which a worker would take away from another one; write it as"
                " HOST:PORT"
            )
        found = _GRPC_ADDRESS.fullmatch(value)
        if found is None or not 1 <= int(found["port"]) <= 65_535:
            raise ValueError("write it as HOST:PORT, for example 127.0.0.1:9001 or [::1]:9001")
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

    @field_validator("trusted_proxies", "authz_identity_headers", mode="before")
    @classmethod
    def _split_texts(cls, value: object) -> object:
        return split(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        location = parse_store_url(self.store_url.get_secret_value())
        if self.workers > 1 and location.is_embedded and not location.embedded_options.get("data"):
            raise ValueError(
                "with embedded://, each worker would start its own cluster: set workers to 1, or"
                " let them share one: embedded://?data=FOLDER"
            )
        if self.authz_policy is not None and not self.trusted_proxies:
            raise ValueError(
                "authz_policy needs trusted_proxies: rules judge what a proxy says of a request,"
                " and only a trusted proxy is believed"
            )
        if self.grpc_host_and_port()[1] == self.port:
            raise ValueError("authz_grpc_address needs a port of its own: port is the one for HTTP")
        if self.metrics_host_and_port()[1] in {self.port, self.grpc_host_and_port()[1]} - {None}:
            raise ValueError(
                "metrics_address needs a port of its own: another setting has this one"
            )
        if not self.cookie_secure and self.host not in _LOOPBACK:
            raise ValueError(
                "cookie_secure may be turned off only if host is a loopback address: session"
                " cookies would be sent in plaintext"
            )
        self.check_mail()
        self.check_portal(
            secure=self.cookie_secure,
            has_login=self.login_enabled,
            trusts_a_proxy=bool(self.trusted_proxies),
        )
        return self

    def grpc_host_and_port(self) -> tuple[str, int | None]:
        """Return the host and the port of ``authz_grpc_address``; no port where it is not set."""
        host, _, port = (self.authz_grpc_address or "").rpartition(":")
        return host.strip("[]"), int(port) if port else None

    def throttle(self) -> ThrottlePolicy:
        """Return the limits of the login throttle."""
        return ThrottlePolicy(
            account_attempts=self.account_attempts,
            account_window=self.account_window,
            address_attempts=self.address_attempts,
            address_window=self.address_window,
            network_attempts=self.network_attempts,
            network_window=self.network_window,
            total_attempts=self.total_attempts,
            total_window=self.total_window,
            known_attempts=self.known_attempts,
            known_window=self.known_window,
        )

    def web(self) -> WebSettings:
        """Return how the page uses cookies, and which proxies are trusted."""
        return PageSettings(
            token_places=("cookie",),
            page_path=self.page_path,
            cookie_secure=self.cookie_secure,
            csrf_field=TOKEN_FIELD,
            csrf_cookie=False,  # the page has no scripts
            trusted_proxies=tuple(map(str, self.trusted_proxies)),
        )


def load_settings(
    config_file: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings from ``overrides``, the environment, the file and the defaults, in order.

    ``config_file``: the path of a TOML file, by default that in ``CLUSTERPASS_CONFIG``, if set.
    Raises ConfigurationError.
    """
    return make_settings(overrides or {}, settings_in_file(config_file))


def make_settings(overrides: Mapping[str, Any], file: Mapping[str, Any] | None = None) -> Settings:
    """Return the settings from ``overrides``, the environment, ``file`` and the defaults, in order.

    ``file``: what a file says; by default, none is read. Raises ConfigurationError.
    """
    given = {**(file or {}), **settings_in_environment()}
    given.update((name, value) for name, value in overrides.items() if value is not None)
    try:
        return Settings(**given)
    except ValidationError as error:
        told = dict.fromkeys(map(_describe, error.errors(include_input=False)))
        raise ConfigurationError("; ".join(told)) from None


def settings_in_environment() -> dict[str, Any]:
    """Return the settings in the environment, as texts. A variable's name may be in any case.

    Raises ConfigurationError for a misspelt name. Others may be there: Kubernetes sets variables
    for a Service that is named clusterpass, and an application may have its own.
    """
    found = {}
    for variable, value in os.environ.items():
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].lower()
        if prefix != PREFIX:
            continue
        if name in Settings.model_fields:
            found[name] = value
        elif name not in _OF_OTHERS and (meant := _nearest(name)):
            raise ConfigurationError(
                f"{variable} is no setting; did you mean {PREFIX}{meant.upper()}?"
            )
    return found


def _nearest(name: str) -> str | None:
    """The setting that ``name`` is like, also in capitals and with the prefix of variables."""
    from difflib import get_close_matches  # noqa: PLC0415 - for a stray name alone

    plain = name.lower().removeprefix(PREFIX.lower())
    return next(iter(get_close_matches(plain, Settings.model_fields, 1, _ALIKE)), None)


def settings_in_file(config_file: str | Path | None) -> dict[str, Any]:
    """Return what the file says, unchecked; nothing where there is none.

    ``config_file``: by default that in ``CLUSTERPASS_CONFIG``. Raises ConfigurationError when it
    cannot be read.
    """
    named = config_file or os.environ.get(CONFIG_VARIABLE)
    if not named:
        return {}
    path = Path(named)
    import tomllib  # noqa: PLC0415 - for a file alone

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise ConfigurationError(
            f"the configuration file {path} does not exist; check the path in"
            f" --config or {CONFIG_VARIABLE}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read: {error.strerror}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            f"the configuration file {path} is not valid TOML: {error}"
        ) from None


def _describe(error: ErrorDetails) -> str:
    name = ".".join(str(part) for part in error["loc"][:1])
    if not name:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        meant = _nearest(name)
        known = ", ".join(sorted(Settings.model_fields))
        hint = f"did you mean {meant!r}?" if meant else f"the settings are: {known}"
        return f"unknown setting {name!r}; {hint}"
    problem = error["msg"].removeprefix("Value error, ")
    return f"the setting {name} ({PREFIX}{name.upper()}) is invalid: {problem}"
