"""System checks: ``manage.py check`` finds what would fail at the first request."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error

from clusterpass.integrations.django.conf import installed
from clusterpass.model.errors import ClusterPassError

_OURS: Final = "clusterpass.integrations.django.middleware.ClusterPassMiddleware"
_EARLIER: Final = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def check_settings(**_: Any) -> list[CheckMessage]:
    """Find unsafe, unknown and missing settings."""
    try:
        installed()
    except (ClusterPassError, ImportError) as error:
        return [Error(str(error), hint="See settings.CLUSTERPASS.", id="clusterpass.E001")]
    return []


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Find middleware that is missing or comes too early."""
    order: Sequence[str] = settings.MIDDLEWARE
    if _OURS not in order:
        return [Error(f"{_OURS} is not in MIDDLEWARE.", id="clusterpass.E002")]
    late = [name for name in _EARLIER if name in order[order.index(_OURS) :]]
    return [Error(f"{_OURS} must come after {name}.", id="clusterpass.E003") for name in late]
