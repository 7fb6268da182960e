"""All settings of the service: ``Settings`` joins the groups, and checks the rules between them.

Its own fields are those of the process: address, workers, logins, trusted proxies, log.
"""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from clusterpass import parse_store_url
from clusterpass.limits import DAY
from clusterpass.service.settings.accounts import DOTTED_PATH
from clusterpass.service.settings.authz import AuthzSettings
from clusterpass.service.settings.lists import split
from clusterpass.service.settings.portal import PageSettings
from clusterpass.web.settings import WebSettings

TOKEN_FIELD: Final = "form_token"  # noqa: S105 (a field's name)
"""The name of the form field that carries the CSRF token on the page."""

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _network(value: object) -> object:
    """A network; ValueError with what was meant, where there are bits behind the prefix."""
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        meant = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(
            f"{value[:64]!r} is neither an address nor a network, such as 10.0.0.0/8"
        ) from None
    raise ValueError(f"{value} is an address within a network: write {meant}, or the address alone")


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


class Settings(AuthzSettings):
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
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Addresses or networks of the reverse proxies in front of the service,"
        " separated by commas; only their X-Forwarded-For headers are trusted, and what they say"
        " of a request to authorize.",
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
