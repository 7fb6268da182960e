"""Messages of the page for errors of the library, in the language of the visitor.

The common errors have messages of their own. For any other, English readers see the library's
message; other readers see its translation, or that the form contains a value that cannot be used.
"""

from typing import Final

from clusterpass import (
    ClusterPassError,
    InvalidInput,
    LinkInvalid,
    MailFailed,
    PasswordRefused,
    UserExists,
    UserNotFound,
)
from clusterpass.service.language.choice import ENGLISH
from clusterpass.service.language.marks import mark, mark_plural
from clusterpass.service.language.translation import Language

_SENTENCES: Final = (
    mark("The form was submitted from another site. Nothing was changed."),
    mark("The form has expired. Nothing was changed; reload the page and try again."),
    mark("This page requires HTTPS: over HTTP, your browser would not keep you logged in."),
)
"""Of the library, as they stand there."""
_BY_MESSAGE: Final = {
    "a reason must be given": mark("Enter a reason."),
    "reason must take at most 200 bytes, without control characters": mark(
        "The reason is too long, or contains characters that cannot be shown."
    ),
    "send_to must be a mail address, such as alice@example.org": mark(
        "Enter a mail address, such as alice@example.org."
    ),
    "no mails are sent here: set smtp_host or mail_sender": mark("No mails are sent here."),
}
_BY_TYPE: Final[tuple[tuple[type[ClusterPassError], str], ...]] = (
    (UserExists, mark("A user with this name already exists.")),
    (UserNotFound, mark("There is no user with this name.")),
    (LinkInvalid, mark("This link is not valid any more")),
    (MailFailed, mark("The mail could not be sent. Make a new link on the page about the user.")),
)
_UNUSABLE: Final = mark("The form contains a value that cannot be used. Go back and check it.")
_TOO_SHORT: Final = mark_plural(
    "A password must have at least {count} character.",
    "A password must have at least {count} characters.",
)
_PASSWORDS: Final = {
    "too_common": mark("This password is one of the most common ones. Choose another."),
    "like_user_name": mark("This password is little more than the user name. Choose another."),
}
_UNUSABLE_PASSWORD: Final = mark("This password is too long, or contains invalid characters.")


def refusal(error: ClusterPassError, detail: str, language: Language) -> str:
    """Return why a request was refused, as a sentence; ``detail``: as the library says it."""
    for kind, sentence in _BY_TYPE:
        if isinstance(error, kind):
            return language.gettext(sentence)
    if error.message in _BY_MESSAGE:
        return language.gettext(_BY_MESSAGE[error.message])
    if language.tag == ENGLISH or language.knows(detail):
        return language.gettext(detail)
    return language.gettext(_UNUSABLE)


def password_refusal(error: InvalidInput, shortest: int, language: Language) -> str:
    """Return why a new password is refused; ``shortest``: the fewest characters of one."""
    if isinstance(error, PasswordRefused) and error.reason == "too_short":
        return language.counted(_TOO_SHORT, shortest)
    return language.gettext(_PASSWORDS.get(error.reason or "", _UNUSABLE_PASSWORD))
