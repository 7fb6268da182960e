"""The setting by which the service exports metrics."""

import re
from typing import Final

from pydantic import Field, field_validator

from clusterpass.service.settings.http import HttpSettings

_ADDRESS: Final = re.compile(
    r"(?P<host>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})"
)


class MonitoringSettings(HttpSettings):
    """The setting for the address of the metrics."""

    metrics_address: str | None = Field(
        default=None,
        description="The address and port, such as `127.0.0.1:9464`, at which Prometheus gets the"
        " metrics of all workers (`GET /metrics`); needs `clusterpass[metrics]`. Nothing is asked"
        " of who connects: use an address that Prometheus alone reaches. Without it, there is no"
        " such address.",
    )

    @field_validator("metrics_address")
    @classmethod
    def _a_host_and_a_port(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = _ADDRESS.fullmatch(value)
        if found is None or not 1 <= int(found["port"]) <= 65_535:
            raise ValueError("write it as HOST:PORT, for example 127.0.0.1:9464 or [::1]:9464")
        return value

    def metrics_host_and_port(self) -> tuple[str, int | None]:
        """Return the host and the port of ``metrics_address``; no port where it is not set."""
        host, _, port = (self.metrics_address or "").rpartition(":")
        return host.strip("[]"), int(port) if port else None
