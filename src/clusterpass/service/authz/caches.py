"""Caches of a front-door worker: the rules that earlier requests matched, and responses by session.

Neither says whether a session is live. Both are bounded, and drop what was used least recently.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

from clusterpass import (
    Session,
)
from clusterpass.service.authz.policy import Policies, Rule

_MOST_RULES: Final = 2048
_MOST_SESSIONS: Final = 4096
"""As many as the manager keeps as objects: those are in memory anyway."""
Made = TypeVar("Made")


class Allowance(NamedTuple):
    """A request that is allowed."""

    token: str
    session: Session | None
    """None: the rule requires none."""
    assertion: str
    """Empty where none is sent."""


class KnownRule:
    """The ruling on all requests with the same method, host and path."""

    __slots__ = ("host", "rule")

    def __init__(self, rule: Rule | None, host: str) -> None:
        """``rule``: the one that decides; None: memory is not enough to answer. ``host``: of the
        request, for which an assertion is made."""
        self.rule: Final = rule
        self.host: Final = host


class KnownRules:
    """The rules of requests that were judged, by all that the judgement depends on."""

    def __init__(self, longest: int = 512) -> None:
        """``longest``: more bytes in a key are not kept, so that clients cannot fill the memory."""
        self._longest: Final = longest
        self._kept: Final[OrderedDict[tuple[bytes, ...], KnownRule]] = OrderedDict()
        self._policies: Policies | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, policies: Policies | None, key: tuple[bytes, ...]) -> KnownRule | None:
        """Return what was kept under ``key``; ``policies``: those of now, others count no more."""
        if policies is not self._policies:
            self._kept.clear()
            self._policies = policies
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def keep(self, key: tuple[bytes, ...], known: KnownRule) -> None:
        """Keep what follows from the policies of the last :meth:`find`."""
        if sum(map(len, key)) > self._longest:
            return
        self._kept[key] = known
        if len(self._kept) > _MOST_RULES:
            self._kept.popitem(last=False)


class KeptBySession(Generic[Made]):
    """A cache of values made from a session and an assertion, while both stay the same."""

    def __init__(self, make: Callable[[Session | None, str], Made]) -> None:
        """``make``: makes it; of None and no assertion for answers that name nobody."""
        self._make: Final = make
        self._nobody: Final = make(None, "")
        self._kept: Final[OrderedDict[str, tuple[Session, str, Made]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, allowed: Allowance) -> Made:
        """Return what is made of a session that the manager has just recalled.

        A session that has changed is another object.
        """
        token, session, assertion = allowed
        if session is None:
            return self._nobody
        kept = self._kept.get(token)
        if kept is not None and kept[0] is session and kept[1] == assertion:
            self._kept.move_to_end(token)
            return kept[2]
        made = self._make(session, assertion)
        self._kept[token] = session, assertion, made
        self._kept.move_to_end(token)
        if len(self._kept) > _MOST_SESSIONS:
            self._kept.popitem(last=False)
        return made
