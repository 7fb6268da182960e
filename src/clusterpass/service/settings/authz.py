"""The settings of ``/authz/...``, where reverse proxies ask whether to forward a request."""

import re
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, field_validator

from clusterpass.limits import LONGEST_GRACE
from clusterpass.service.settings.lists import split
from clusterpass.service.settings.throttle import ThrottleSettings

_GRPC_ADDRESS: Final = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
)


class AuthzSettings(ThrottleSettings):
    """Settings for proxies: the rules, and the headers that they receive."""

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

    @field_validator("authz_identity_headers", mode="before")
    @classmethod
    def _split_headers(cls, value: object) -> object:
        return split(value)

    def grpc_host_and_port(self) -> tuple[str, int | None]:
        """Return the host and the port of ``authz_grpc_address``; no port where it is not set."""
        host, _, port = (self.authz_grpc_address or "").rpartition(":")
        return host.strip("[]"), int(port) if port else None
