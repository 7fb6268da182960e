"""Mails with one-time links, sent through a mail server or by a function of the operator's.

A sender runs on a thread of its own and blocks until the mail is handed over. If it hangs, the
request waits only until a deadline, and nothing else that the service does lacks a thread. A link
that could not be sent is of no use to anybody, as its token is kept nowhere.
"""

import asyncio
import inspect
import smtplib
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from typing import Any, Final, Literal

from clusterpass import ClusterPassError, ConfigurationError, InvalidInput, MailFailed
from clusterpass.service.language.choice import ENGLISH
from clusterpass.service.language.marks import mark
from clusterpass.service.load_function import load_function
from clusterpass.service.settings.accounts import ADDRESS
from clusterpass.service.settings.page import LooksSettings

_TIMEOUT: Final = 10.0
"""Seconds for the connection, and for each answer of the mail server."""
_DEADLINE: Final = 30.0
"""Seconds until a request gives a mail up."""
_MOST_AT_ONCE: Final = 8
"""How many mails a process sends at once."""
_SUBJECTS: Final = {
    "invitation": mark("Set your password"),
    "reset": mark("Set a new password"),
}
_GREETING: Final = mark("Hello {name},")
_REASONS: Final = {
    "invitation": mark("an account was made for you. Set your password here:"),
    "reset": mark("a new password was requested for your account. Set it here:"),
}
_ONCE: Final = mark(
    "The link can be used once, until {when}. If you did not expect this mail, ignore it: nothing"
    " changes."
)


MailKind = Literal["invitation", "reset"]


@dataclass(frozen=True, slots=True)
class LinkMail:
    """A mail to one address with a one-time link."""

    kind: MailKind
    """What the link is for."""
    to: str
    """The address of the user, as the administrator gave it."""
    username: str
    """The name of the user."""
    link: str = field(repr=False)
    """The URL; whoever has it can set the password."""
    expires_at: int
    """Until when it may be used, in seconds since the epoch."""
    language: str = ENGLISH
    """The tag of the language that it is to be written in, such as ``de`` or ``zh-Hans``."""


Sender = Callable[[LinkMail], None]


def make_sender(settings: LooksSettings) -> Sender | None:
    """Return what sends mails; None where nothing does.

    Raises ConfigurationError when ``mail_sender`` names no function, or ``smtp_ca_file`` no file
    with authorities.
    """
    if settings.mail_sender is not None:
        return _CustomSender(load_function("mail_sender", settings.mail_sender))
    return SmtpSender(settings) if settings.smtp_host is not None else None


def check_address(sender: Sender | None, to: str) -> Sender:
    """Return ``sender`` if a mail can be sent to ``to``; raise InvalidInput if not."""
    if sender is None:
        raise InvalidInput("no mails are sent here: set smtp_host or mail_sender")
    if not ADDRESS.fullmatch(to) or not to.isprintable():
        raise InvalidInput("send_to must be a mail address, such as alice@example.org")
    return sender


_places: Final = threading.BoundedSemaphore(_MOST_AT_ONCE)


async def send_in_time(send: Sender, mail: LinkMail) -> None:
    """Send ``mail`` without holding up anything else; raise MailFailed when that takes too long.

    It may still arrive then. Not in the threads of the event loop, which look up the names of hosts
    and read keys: a mail server that hangs would take them all.
    """
    if not _places.acquire(blocking=False):
        raise MailFailed(reason="TooManyMails")
    sent = Future[None]()
    work = (_send, send, mail, sent)
    try:  # the process does not wait for it to end
        threading.Thread(target=copy_context().run, args=work, name="mail", daemon=True).start()
    except RuntimeError as error:  # no thread can be started
        _places.release()
        raise MailFailed(reason=type(error).__name__) from error
    try:
        await asyncio.wait_for(asyncio.wrap_future(sent), _DEADLINE)
    except TimeoutError:
        raise MailFailed(reason="TimeoutError") from None


def _send(send: Sender, mail: LinkMail, sent: Future[None]) -> None:
    try:
        if sent.set_running_or_notify_cancel():
            send(mail)
            sent.set_result(None)
    except BaseException as error:  # noqa: BLE001 (the request raises it)
        sent.set_exception(error)
    finally:
        _places.release()


class SmtpSender:
    """Hands mails over to a mail server."""

    def __init__(self, settings: LooksSettings) -> None:
        self._settings: Final = settings
        if settings.smtp_ca_file is not None:
            try:  # here rather than with the first mail
                ssl.create_default_context(cafile=settings.smtp_ca_file)
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"smtp_ca_file: {settings.smtp_ca_file} cannot be used"
                    f" ({getattr(error, 'strerror', None) or type(error).__name__}); give a"
                    " PEM file with the authorities that the mail server's certificate is judged by"
                ) from None

    def __call__(self, mail: LinkMail) -> None:
        """Send ``mail``; raise MailFailed when the server does not take it."""
        try:
            with self._connected() as server:
                # To the very address: the parser of headers may read another one out of it.
                server.send_message(self._message(mail), to_addrs=[mail.to])
        except (OSError, ValueError, smtplib.SMTPException) as error:
            raise MailFailed(reason=type(error).__name__) from error

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        host, port = settings.smtp_host or "", settings.smtp_port
        context = ssl.create_default_context(cafile=settings.smtp_ca_file)
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=_TIMEOUT, context=context)
        else:
            server = smtplib.SMTP(host, port, timeout=_TIMEOUT)
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=context)
            if settings.smtp_username is not None and settings.smtp_password is not None:
                server.login(settings.smtp_username, settings.smtp_password.get_secret_value())
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, mail: LinkMail) -> EmailMessage:
        sent_from = self._settings.mail_from or ""
        message = EmailMessage()
        message["From"] = formataddr((self._settings.page_name, sent_from))
        message["To"] = mail.to
        message["Subject"], text = _written(mail)
        message["Content-Language"] = mail.language
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=sent_from.partition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        return message


def _written(mail: LinkMail) -> tuple[str, str]:
    """Return the subject and the text of a mail, in its language."""
    from clusterpass.service.language.translation import language  # noqa: PLC0415 (it is large)

    spoken = language(mail.language)
    greeting = spoken.gettext(_GREETING).replace("{name}", mail.username)
    once = spoken.gettext(_ONCE).replace("{when}", spoken.moment(mail.expires_at))
    paragraphs = (greeting, spoken.gettext(_REASONS[mail.kind]), mail.link, once)
    return spoken.gettext(_SUBJECTS[mail.kind]), "\n\n".join(paragraphs) + "\n"


class _CustomSender:
    """Calls a function of the operator's."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function: Final = function

    def __call__(self, mail: LinkMail) -> None:
        try:
            outcome = self._function(mail)
            if inspect.iscoroutine(outcome):
                asyncio.run(outcome)
        except ClusterPassError:
            raise
        except Exception as error:
            raise MailFailed(reason=type(error).__name__) from error
