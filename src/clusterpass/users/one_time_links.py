"""One-time links by which a user sets a password: an invitation, or a reset by an administrator.

- A link's token names its user and has 32 random bytes, of which the store keeps only a digest.
- Opening a link changes nothing, so programs that open the links in mails use none up.
- A link ends when it is used, when its time is over, when a newer one is made for the user, when
  the user is disabled, and with the password for which it was made.
- Whatever is wrong with a token, the answer is the same.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from clusterpass.limits import DAY
from clusterpass.model.errors import InvalidInput, LinkInvalid, UserNotFound
from clusterpass.model.json_form import Value
from clusterpass.protocol.calls import one_time_links as link_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Flow, ScriptCall
from clusterpass.sessions.check_arguments import check_seconds
from clusterpass.tokens.identifiers import check_subject

SECRET_BYTES: Final = 32
LIVES: Final = (60, 14 * DAY)
"""The shortest and the longest life of a link, in seconds."""
_TOKEN: Final = re.compile(r"cpl_([A-Za-z0-9_-]{2,340})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class OneTimeLink(Value):
    """A link by which a user sets a password, once."""

    username: str
    """The name of the user."""
    token: str = field(repr=False)
    """What the address of the page has to carry; whoever has it can set the password."""
    expires_at: int
    """Until when the link may be used, in seconds since the epoch by the store's clock."""


class LinkToken(NamedTuple):
    """The content of a one-time link's token."""

    username: str
    digest: bytes
    """The digest of the link's secret, as the store keeps it."""


class Links:
    """The flows of one-time links."""

    def __init__(self, keyspace: Keyspace, random_bytes: Callable[[int], bytes]) -> None:
        """``random_bytes``: returns n unpredictable bytes."""
        self._keyspace = keyspace
        self._random_bytes = random_bytes

    def make(self, username: str, *, for_seconds: int) -> Flow[OneTimeLink]:
        """Make a link for a user; ``for_seconds``: 60 seconds to 14 days. Raises UserNotFound."""
        check_seconds("for_seconds", for_seconds, *LIVES)
        secret = self._random_bytes(SECRET_BYTES)
        made = yield link_calls.make_link(
            self._keyspace, username, digest=_digest(secret), seconds=for_seconds
        )
        if made.reply.status == "UNKNOWN":
            raise UserNotFound
        token = f"cpl_{_encoded(username.encode())}.{_encoded(secret)}"
        return OneTimeLink(username, token, made.reply.ends_at)

    def find(self, token: LinkToken) -> Flow[None]:
        """Return if the link can be used; raise LinkInvalid if not."""
        found = yield link_calls.find_link(self._keyspace, token.username, digest=token.digest)
        if not found.reply:
            raise LinkInvalid

    def use(self, token: LinkToken, password_hash: str) -> ScriptCall[int]:
        """The call that sets the hash of a new password and ends the link; 0: it is over."""
        return link_calls.use_link(
            self._keyspace, token.username, digest=token.digest, password_hash=password_hash
        )


def read_token(token: object) -> LinkToken:
    """Return what ``token`` says; raise LinkInvalid for what cannot be one."""
    found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    if found is None:
        raise LinkInvalid
    try:
        username = check_subject(_decoded(found[1]).decode("utf-8"))
        return LinkToken(username, _digest(_decoded(found[2])))
    except (ValueError, InvalidInput):
        raise LinkInvalid from None


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(b"one-time link\0" + secret).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
