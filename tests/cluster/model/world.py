"""A real cluster under the reference model, on which simulated time passes.

Time is let pass by moving all that the store holds of a subject into the past. All durations here
lie half way between two sums of such moves, so that the seconds a run takes decide nothing.
"""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from clusterpass import Config, EmbeddedCluster, SessionManager
from clusterpass.model.errors import ClusterPassError
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.records import LiveRecord, parse_record

from ..stored import OLDER_REFRESHED, earlier, forget_ends, make_known
from .records import Refused

DAY = 86_400
MOST_AGE = 80_000
"""Seconds in which nothing that has ended is forgotten."""
NAMESPACE = "model"
KEYSPACE = Keyspace(NAMESPACE)
MOST_RUNS = 100_000


@dataclass
class World:
    """A real cluster, and the managers that work on it."""

    running: EmbeddedCluster
    config: Config
    manager: Any
    open: Callable[[Config], Any]
    """Another manager of the same kind."""
    watcher: SessionManager
    """Looks without leaving a trace: it notes no use."""

    def age(self, subject: str, seconds: int) -> None:
        """Let ``seconds`` pass for all that the store holds of ``subject``."""
        key, activity = KEYSPACE.sessions(subject), KEYSPACE.activity(subject)
        with self.running.client(self.running.primary_of(key)) as client:
            fields = client.hgetall(key)
            if fields:
                moved = {name: older(name, value, seconds) for name, value in fields.items()}
                client.hset(key, mapping=moved)
            for session_id, seen in client.hgetall(activity).items():
                client.hset(activity, session_id, earlier(seen, 0, seconds))
        make_known(key)
        for manager in (self.manager, self.watcher):
            forget_ends(manager)


def older(name: bytes, value: bytes, seconds: int) -> bytes:
    """A field of a subject, ``seconds`` older."""
    if len(name) == 16:
        record = parse_record(value)
        if isinstance(record, LiveRecord):
            return dataclasses.replace(
                record,
                created_milliseconds=record.created_milliseconds - seconds * 1000,
                absolute_end=record.absolute_end - seconds,
                refreshed_at=record.refreshed_at - seconds,
            ).pack()
        return dataclasses.replace(
            record, ended_at=record.ended_at - seconds, keep_until=record.keep_until - seconds
        ).pack()
    if len(name) == 17 and name.endswith(b"e"):
        for start in (0, 4, OLDER_REFRESHED):
            value = earlier(value, start, seconds)
        return value
    if len(name) == 2 and name.startswith(b"h"):
        return earlier(value, 1, seconds)
    if name == b"s":
        return older_summary(value, seconds)
    if name == b"b":
        bans = json.loads(value)
        for ban in bans.values():
            ban["a"] -= seconds
            ban["u"] -= seconds if ban["u"] else 0
        return json.dumps(bans).encode()
    return value


def older_summary(value: bytes, seconds: int) -> bytes:
    """A summary, as ``_include/subject_summary.lua`` lays it out, ``seconds`` older."""
    for start in (7, 11):  # first and last end
        value = earlier(value, start, seconds)
    for start in (
        24,
        30,
        37,
    ):  # milliseconds of the first login, the latest one, and the latest time
        then = int.from_bytes(value[start : start + 6], "big") - seconds * 1000
        value = value[:start] + then.to_bytes(6, "big") + value[start + 6 :]
    return value


def outcome(call: Callable[[], Any], age: int = 0) -> tuple[str, Any]:
    """What a call came to, in terms of the model's clock, which is ``age`` ahead."""
    try:
        return "done", call()
    except Refused as refusal:
        return "refused", refusal.args
    except ClusterPassError as error:
        at = getattr(error, "ended_at", 0)
        tells: Any = getattr(error, "note", "")
        if hasattr(error, "ban"):
            tells = error.ban.scope
        elif hasattr(error, "sessions"):
            tells = [each.session_id for each in error.sessions]
        elif hasattr(error, "acr_values"):
            tells = (error.acr_values, error.max_age)
        return "refused", (type(error).__name__, error.reason, tells, at and at + age)
