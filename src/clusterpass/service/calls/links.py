"""The addresses of one-time links, as users open them."""

from urllib.parse import urlencode

from clusterpass.service.page.paths import LINK, Paths
from clusterpass.service.settings.service import Settings


def address_of_link(settings: Settings, token: str) -> str:
    """Return the URL at which the user of a link sets a password.

    It is at ``authz_portal`` or, where that is not set, at ``issuer`` and ``page_prefix``.
    """
    site = settings.authz_portal or f"{settings.issuer.rstrip('/')}{settings.page_prefix}"
    return f"{site.rstrip('/')}{Paths().at(LINK)}?{urlencode({'token': token})}"
