"""The URLs of one-time links, and the mails that bring them to their users."""

from urllib.parse import urlencode

from clusterpass import InvalidInput, OneTimeLink
from clusterpass.service.language.choice import ENGLISH
from clusterpass.service.mail import LinkMail, MailKind
from clusterpass.service.settings.accounts import LINK_PATH
from clusterpass.service.settings.service import Settings


def address_of_link(settings: Settings, token: str) -> str:
    """Return the URL at which the user of a link sets a password.

    It is at ``authz_portal`` or, where that is not set, at ``issuer`` and ``page_prefix``.
    """
    site = settings.authz_portal or f"{settings.issuer.rstrip('/')}{settings.page_prefix}"
    return f"{site.rstrip('/')}{LINK_PATH}?{urlencode({'token': token})}"


def require_page(settings: Settings) -> None:
    """Raise InvalidInput where the page is off, at which links are used."""
    if not settings.login_enabled:
        raise InvalidInput(
            "The link would lead to a page that is not there, as login_enabled is off. Set the"
            " password by clusterpass users passwd, or turn it on."
        )


def mail_with(
    settings: Settings, kind: MailKind, made: OneTimeLink, to: str, language: str = ENGLISH
) -> LinkMail:
    """Return the mail that brings ``made`` to its user at the address ``to``.

    ``language``: the tag of the language that it is written in.
    """
    address = address_of_link(settings, made.token)
    return LinkMail(kind, to, made.username, address, made.expires_at, language)
