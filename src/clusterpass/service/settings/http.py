"""HTTP settings: allowed hosts, CORS, HSTS, limits for slow clients, number of connections."""

import re
from typing import Final

from pydantic import Field, field_validator

from clusterpass.service.settings.lists import Names, split
from clusterpass.service.settings.sessions import SessionSettings

_HOST: Final = re.compile(r"([a-z0-9._-]{1,255}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?")
_ORIGIN: Final = re.compile(rf"https?://{_HOST.pattern}")
_YEAR: Final = 365 * 86_400


class HttpSettings(SessionSettings):
    """Settings for HTTP: hosts, CORS, HSTS, time limits and connections."""

    hosts: Names = Field(
        default=(),
        description="The names that clients reach the service by, separated by commas, such as"
        " `auth.example` or `10.0.0.5:8000`; without a port, any will do. A request for another"
        " `Host` is refused (421), except GET /healthz and /readyz. Empty: any host.",
    )
    cors_origins: Names = Field(
        default=(),
        description="The origins whose scripts may make the JSON calls from a browser, separated by"
        " commas, such as `https://app.example`. They send access tokens; cookies do not count.",
    )
    hsts_seconds: int = Field(
        default=_YEAR,
        ge=0,
        le=10 * _YEAR,
        description="The max-age of Strict-Transport-Security, sent where a trusted proxy says that"
        " the request came over HTTPS (`X-Forwarded-Proto: https`); 0: never sent.",
    )
    hsts_always: bool = Field(
        default=False,
        description="Whether Strict-Transport-Security is sent with every response: for a proxy"
        " that speaks HTTPS only and sends no X-Forwarded-Proto.",
    )
    header_timeout: float = Field(
        default=10,
        ge=0.1,
        le=300,
        description="Seconds in which a connection has to bring the headers of its next request;"
        " it is closed then. A proxy should close idle connections earlier.",
    )
    body_timeout: float = Field(
        default=10,
        ge=0.1,
        le=300,
        description="Seconds in which the body of a request has to arrive; it is refused then (408)"
        " and the connection is closed.",
    )
    slow_bodies: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Requests per client address (IPv6: per /64) and worker that may wait for their"
        " bodies for longer than half a second at once; others are refused then (429).",
    )
    max_connections: int = Field(
        default=4096,
        ge=16,
        le=1_000_000,
        description="Connections that each worker accepts at once; further ones wait. Fewer if the"
        " system allows fewer open files.",
    )

    @field_validator("hosts", "cors_origins", mode="before")
    @classmethod
    def _split_lower(cls, value: object) -> object:
        return split(value.lower() if isinstance(value, str) else value)

    @field_validator("hosts")
    @classmethod
    def _valid_hosts(cls, value: Names) -> Names:
        if not all(_HOST.fullmatch(each) for each in value):
            raise ValueError("give names such as auth.example or auth.example:8443")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _valid_origins(cls, value: Names) -> Names:
        if not all(_ORIGIN.fullmatch(each) for each in value):
            raise ValueError("give origins such as https://app.example, without a path; no *")
        return value
