"""System checks: ``manage.py check`` finds what would fail at the first request."""

from collections.abc import Sequence
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.translation import gettext as _

from clusterpass.integrations.django.conf import installed
from clusterpass.model.errors import ClusterPassError

_OURS: Final = "clusterpass.integrations.django.middleware.ClusterPassMiddleware"
_EARLIER: Final = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
)


def check_settings(**options: Any) -> list[CheckMessage]:
    """Find unsafe, unknown and missing settings."""
    try:
        installed()
    except (ClusterPassError, ImportError) as error:
        return [Error(str(error), hint=_("See settings.CLUSTERPASS."), id="clusterpass.E001")]
    return []


def check_middleware(**options: Any) -> list[CheckMessage]:
    """Find middleware that is missing or comes too early."""
    order: Sequence[str] = settings.MIDDLEWARE
    if _OURS not in order:
        text = _("%(ours)s is not in MIDDLEWARE.") % {"ours": _OURS}
        return [Error(text, id="clusterpass.E002")]
    late = [name for name in _EARLIER if name in order[order.index(_OURS) :]]
    text = _("%(ours)s must come after %(other)s.")
    return [Error(text % {"ours": _OURS, "other": name}, id="clusterpass.E003") for name in late]
