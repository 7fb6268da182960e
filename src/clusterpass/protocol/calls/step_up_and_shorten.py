"""The calls that change a live session: step it up, or bring its end forward."""

from dataclasses import dataclass
from typing import cast

from clusterpass.protocol.calls.statuses import ElevateStatus
from clusterpass.protocol.calls.subject_change import Housekeeping, change
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LONGEST_LINE, shorten_text
from clusterpass.protocol.replies import Stored, read_stored
from clusterpass.protocol.script import ScriptCall


@dataclass(frozen=True, slots=True)
class Elevated:
    """The outcome of a step-up."""

    status: ElevateStatus
    """Whether the step-up is in force, and why not."""
    stored: Stored
    """The session after the step-up."""


def shorten(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    lifetime: int | None,
    idle_lifetime: int | None,
) -> ScriptCall[Stored]:
    """Let a session end earlier than it would; the reply is the session after the change.

    ``lifetime``: seconds from now to the end; ``idle_lifetime``: seconds without use; None leaves
    the limit as it is. The script is ``scripts/shorten.lua``.
    """
    arguments = (
        session_id,
        b"" if lifetime is None else lifetime,
        b"" if idle_lifetime is None else idle_lifetime,
    )
    return change(keyspace, keeping, subject, "shorten", arguments=arguments, read=read_stored)


def elevate(
    keyspace: Keyspace,
    keeping: Housekeeping,
    subject: str,
    *,
    session_id: bytes,
    seconds: int,
    level: str,
    methods: tuple[str, ...],
    address: bytes,
    step_up: bytes,
    refresh_digest: bytes,
    ends_older: bool,
    password_changed: bool,
) -> ScriptCall[Elevated]:
    """Note that the user of a session was authenticated again, more strongly.

    ``seconds``: for how long the step-up is in force; ``level`` and ``methods``: what it proved;
    ``address``: the packed IP address, for the history; ``step_up``: the id of the step-up, 8
    random bytes; ``refresh_digest``: the digest of the refresh token that it issues;
    ``ends_older``: whether it ends the tokens that were issued before it; ``password_changed``:
    whether the user has changed the password in it. The script is ``scripts/elevate.lua``.
    """
    proved = f"{level}\0{' '.join(methods)}".encode()
    line = b"" if password_changed else shorten_text(level, LONGEST_LINE)
    return change(
        keyspace,
        keeping,
        subject,
        "elevate",
        arguments=(
            session_id,
            seconds,
            proved,
            address,
            line,
            step_up,
            refresh_digest,
            int(ends_older),
            int(password_changed),
        ),
        read=lambda raw: Elevated(cast("ElevateStatus", raw[0].decode()), read_stored(raw[1])),
    )
