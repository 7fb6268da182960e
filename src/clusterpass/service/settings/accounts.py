"""The settings of accounts: which passwords users may choose, one-time links, and mails."""

import re
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator

from clusterpass import PasswordPolicy
from clusterpass.limits import DAY
from clusterpass.service.settings.portal import BrowserSettings

LINK_PATH: Final = "/page/link"
"""Where the page has the form of a one-time link, after its prefix."""
DOTTED_PATH: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""How a setting names a function."""
_SPECIAL: Final = r"\s@<>,;:\"\\()\[\]"
ADDRESS: Final = re.compile(
    rf"(?!.*=\?)[^{_SPECIAL}]{{1,64}}@(?=.{{1,189}}\Z)[^{_SPECIAL}.]+(?:\.[^{_SPECIAL}.]+)*"
)
"""A mail address, without a name of its owner. What programs read otherwise than it is written is
none: comments, encoded words (RFC 2047), parts that are empty, and numbers in place of a host."""
_LONGEST_LIFE: Final = 14 * DAY
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class AccountSettings(BrowserSettings):
    """Settings for the users of the directory, apart from their logins."""

    shortest_password: int = Field(
        default=8,
        ge=8,
        le=64,
        description="The fewest characters of a password that a user of the directory may choose."
        " Passwords of before go on. NIST SP 800-63B-4 requires 15 where the password is the only"
        " factor, and 8 where there is a second one.",
    )
    reset_link_lifetime: int = Field(
        default=3600,
        ge=60,
        le=_LONGEST_LIFE,
        description="Seconds for which a link by which a user sets a new password may be used.",
    )
    invitation_lifetime: int = Field(
        default=3 * DAY,
        ge=60,
        le=_LONGEST_LIFE,
        description="Seconds for which an invited user may set the first password.",
    )
    mail_sender: str | None = Field(
        default=None,
        description="`module:function` that sends one-time links instead of SMTP. The function is"
        " called with a LinkMail (`kind`, `to`, `username`, `link`, `expires_at`), and may be"
        " async.",
    )
    mail_from: str | None = Field(
        default=None, description="The address that mails are from; smtp_host requires it."
    )
    smtp_host: str | None = Field(
        default=None,
        min_length=1,
        description="The mail server that one-time links are sent by. Not set: none are sent,"
        " unless mail_sender does.",
    )
    smtp_port: int = Field(default=587, ge=1, le=65_535, description="The port of smtp_host.")
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection to smtp_host is encrypted: `starttls` (port 587) and `tls`"
        " (port 465) require a valid certificate; `none` is for a server on this machine.",
    )
    smtp_ca_file: Path | None = Field(
        default=None,
        description="The CA certificates by which that of smtp_host is checked; not set: those of"
        " the system.",
    )
    smtp_username: str | None = Field(
        default=None, description="The name by which the service logs in at smtp_host."
    )
    smtp_password: SecretStr | None = Field(default=None, description="The password for that.")

    @field_validator("mail_sender")
    @classmethod
    def _names_a_sender(cls, value: str | None) -> str | None:
        if value is not None and not DOTTED_PATH.fullmatch(value):
            raise ValueError("write it as module:function, for example myapp.mails:send")
        return value

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not ADDRESS.fullmatch(value):
            raise ValueError("write it as an address, for example accounts@example.org")
        if value is not None and not value.isascii():
            raise ValueError("write it in ASCII, and its domain in the form that begins with xn--")
        return value

    def check_mail(self) -> None:
        """Raise ValueError when the settings of mails contradict each other."""
        if self.smtp_host is None:
            return
        if self.mail_sender is not None:
            raise ValueError("set smtp_host or mail_sender, not both: one of them sends the mails")
        if self.mail_from is None:
            raise ValueError("smtp_host needs mail_from, the address that mails are from")
        if (self.smtp_username is None) != (self.smtp_password is None):
            raise ValueError("smtp_username and smtp_password belong together")
        if self.smtp_security == "none" and self.smtp_host not in _LOOPBACK:
            raise ValueError(
                "smtp_security may be none only if smtp_host is this machine: links would be sent"
                " in plaintext"
            )

    def passwords(self) -> PasswordPolicy:
        """Return which passwords users of the directory may choose."""
        return PasswordPolicy(shortest=self.shortest_password)
