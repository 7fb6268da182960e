"""Random calls about one subject.

The same sequence can be made about several subjects, so that their results can be compared.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from clusterpass.protocol.calls import (
    end as end_calls,
    session as session_calls,
    step_up_and_shorten as adjust_calls,
    subject as subject_calls,
)
from clusterpass.protocol.calls.call_time import CallTime
from clusterpass.protocol.calls.subject_change import Housekeeping
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import BY_PASSWORD, IMPERSONATED
from clusterpass.protocol.replies import NO_DETAILS, Details
from clusterpass.protocol.script import ScriptCall

STEPS: Final = 400
NOW: Final = 1_900_000_000_000
KEEPING: Final = Housekeeping(120, history_entries=5, generation_seconds=600)
Make = Callable[[str], ScriptCall[Any]]
"""Makes a call about the subject that it is given."""


@dataclass
class Draw:
    """Draws calls, the same for every world."""

    chance: random.Random
    keyspace: Keyspace
    shortens: bool = True
    milliseconds: int = NOW
    keeping: Housekeeping = field(default_factory=lambda: KEEPING)
    sessions: list[bytes] = field(default_factory=list)
    tokens: dict[bytes, int] = field(default_factory=dict)
    """The rotation of the current token of each session; its digest is made of both."""

    def digest(self, session_id: bytes, rotation: int) -> bytes:
        return session_id[:12] + rotation.to_bytes(4, "big")

    def now(self) -> Housekeeping:
        time = CallTime(self.milliseconds, is_agreed=True, is_simulated=True)
        return replace(self.keeping, time=time)

    def login(self, *, most: int = 500, **options: Any) -> Make:
        session_id = self.chance.randbytes(16)
        self.sessions.append(session_id)
        self.tokens[session_id] = 0
        kind = self.chance.choice(["", "", "phone\0", "web\0"])
        details = self.chance.choice([NO_DETAILS, NO_DETAILS, Details({"a": 1})])
        values: dict[str, Any] = {
            "session_id": session_id,
            "refresh_digest": self.digest(session_id, 0),
            "absolute_seconds": self.chance.choice([900, 4000, 20_000]),
            "idle_seconds": self.chance.choice([0, 300, 900, 3000]),
            "flags": self.chance.choice([0, BY_PASSWORD]),
            "device": kind and f"{kind}mine",
            "details": details,
            "most_sessions": most,
            "label": kind,
            "address": self.chance.choice([b"", bytes(4)]),
        }
        new, keeping = session_calls.NewSession(**values | options), self.now()
        return lambda subject: session_calls.login(self.keyspace, keeping, subject, new)

    def refresh(self) -> Make:
        session_id = self.chance.choice(self.sessions[-60:])
        rotation = self.tokens[session_id]
        if self.chance.random() < 0.9:
            self.tokens[session_id] = rotation + 1
        else:
            rotation = max(0, rotation - self.chance.choice([1, 1, 1, 2, -1]))
        grace, keeping = self.chance.choice([0, 10, 10, 10]), self.now()
        chains = b"".join(self.digest(session_id, rotation + step) for step in range(1, 5))
        return lambda subject: session_calls.rotate(
            self.keyspace,
            keeping,
            subject,
            session_id=session_id,
            presented_digest=self.digest(session_id, rotation),
            rotation=rotation,
            successor_digest=self.digest(session_id, rotation + 1),
            grace=grace,
            chains=chains if grace else b"",
        )

    def verify(self, session_id: bytes) -> Make:
        return lambda subject: session_calls.verify(self.keyspace, subject, session_id=session_id)

    def rare(self) -> Make:
        """A call that never ends at a glance."""
        keeping, space = self.now(), self.keyspace
        session_id = self.chance.choice(self.sessions[-60:])
        operation = self.chance.randbytes(8)
        match self.chance.randrange(16):
            case 0 | 1 | 2 | 3:
                return lambda subject: end_calls.end_session(
                    space,
                    keeping,
                    subject,
                    session_id=session_id,
                    reason="logged_out",
                    operation=operation,
                )
            case 4 | 5 | 6 | 7:
                return lambda subject: session_calls.touch(
                    space, keeping, subject, session_id=session_id
                )
            case 8:
                return self.login(most=self.chance.choice([3, 10, 30]))
            case 9:
                return self.login(most_per_device=self.chance.choice([1, 4]))
            case 10:
                return self.login(flags=IMPERSONATED, device="impersonation\0")
            case 11:
                return self.login(generation=self.milliseconds - 10_000)
            case 12 if self.shortens:
                return lambda subject: adjust_calls.shorten(
                    space, keeping, subject, session_id=session_id, lifetime=200, idle_lifetime=100
                )
            case 13:
                claims = self.chance.choice([b"", b'{"plan":"pro"}'])
                return lambda subject: subject_calls.set_claims(
                    space, keeping, subject, claims=claims, operation=operation
                )
            case 14:
                return self.login(replaced=session_id)
            case _:
                return self.very_rare(keeping, session_id, operation)

    def very_rare(self, keeping: Housekeeping, session_id: bytes, operation: bytes) -> Make:
        space = self.keyspace
        match self.chance.randrange(6):
            case 0:
                return lambda subject: end_calls.end_all(
                    space, keeping, subject, keep=session_id, reason="revoked", operation=operation
                )
            case 1:
                return lambda subject: subject_calls.ban(
                    space,
                    keeping,
                    subject,
                    scope="comments",
                    level=1,
                    seconds=60,
                    reason="",
                    operation=operation,
                )
            case 2:
                return lambda subject: subject_calls.unban(
                    space, keeping, subject, scope="comments", operation=operation
                )
            case 3:
                self.keeping = replace(
                    self.keeping, history_entries=self.chance.choice([0, 3, 5, 8])
                )
                return self.login()
            case 4:
                self.keeping = replace(self.keeping, cutoff_milliseconds=self.milliseconds - 60_000)
                return self.login()
            case _:
                self.keeping = replace(
                    self.keeping,
                    history_seconds=self.chance.choice([0, 5000]),
                    tombstone_seconds=self.chance.choice([60, 120]),
                )
                return self.login()

    def draw(self) -> Iterator[Make]:
        """Logins until there is a summary, and then calls of all kinds."""
        for _ in range(50):
            self.milliseconds += self.chance.choice([0, 1, 700])
            yield self.login()
        for _ in range(STEPS):
            self.milliseconds += self.chance.choice([0, 1, 900, 900, 2500, 2500, -1700])
            if self.chance.random() < 0.02:
                self.milliseconds += self.chance.choice([200_000, 400_000, 5_000_000])
            kind = self.chance.random()
            if kind < 0.45:
                yield self.login()
            elif kind < 0.85:
                yield self.refresh()
            else:
                yield self.rare()
