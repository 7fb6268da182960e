"""The user of an old token: the subject, and the options of the session that replaces it."""

from dataclasses import dataclass, field

from clusterpass.sessions.options import LoginOptions


@dataclass(frozen=True, slots=True)
class OldUser:
    """The user of an old token, as the application knows them today."""

    subject: str
    """The subject of the session."""
    options: LoginOptions = field(default_factory=LoginOptions)
    """The options of the login that opens the session; ``claims`` hold for old access tokens
    too."""
