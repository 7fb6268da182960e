"""The loads that were announced and have not returned yet, by key and by token."""

from collections import Counter
from typing import Final


class PendingLoad:
    """A load that was announced and has not returned yet."""

    __slots__ = ("asked_at", "began", "is_good", "is_heard", "key", "token")

    def __init__(self, key: bytes, token: str, began: int, asked_at: float) -> None:
        self.key: Final = key
        self.token: Final = token
        self.began: Final = began
        """The number of lease events when the load began."""
        self.asked_at: Final = asked_at
        """When the load began, in seconds of the steady clock."""
        self.is_good = True
        """Whether no change of the key became known since the load began."""
        self.is_heard = True
        """Whether a node pushes when what the load returns changes."""


class PendingLoads:
    """The announced loads of one near cache. Callers must serialise the calls."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, set[PendingLoad]] = {}
        self._tokens: Counter[str] = Counter()

    def __len__(self) -> int:
        """Return the number of loads that are under way."""
        return self._tokens.total()

    def __contains__(self, token: object) -> bool:
        return token in self._tokens

    def begin(self, loading: PendingLoad) -> None:
        """Announce a load."""
        self._tokens[loading.token] += 1
        self._by_key.setdefault(loading.key, set()).add(loading)

    def end(self, loading: PendingLoad) -> None:
        """Forget a load that has returned, or does not return; nothing happens the second time."""
        others = self._by_key.get(loading.key)
        if others is None or loading not in others:
            return
        others.remove(loading)
        if not others:
            del self._by_key[loading.key]
        self._tokens[loading.token] -= 1
        if not self._tokens[loading.token]:
            del self._tokens[loading.token]

    def changed(self, key: bytes) -> None:
        """Take note that ``key`` has or may have changed: what its loads return may be older."""
        for loading in self._by_key.get(key, ()):
            loading.is_good = False

    def unheard(self, key: bytes) -> None:
        """Take note that no node pushes changes of what the loads of ``key`` return."""
        for loading in self._by_key.get(key, ()):
            loading.is_heard = False

    def clear(self) -> None:
        """Forget all loads."""
        self._by_key.clear()
        self._tokens.clear()
