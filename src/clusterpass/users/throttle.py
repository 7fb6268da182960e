"""The login throttle: limits on the attempts of strangers and of known users, as flows.

An attempt is counted before the password is checked, so parallel guesses are bounded. A window
begins with its first attempt and expires, so nobody is locked out permanently.

- A stranger's attempt is counted by the network it comes from, then in total, then by the account.
  An IPv4 address is a network; an IPv6 address belongs to its /64, as a customer has at least one,
  and to its /48, as a customer may have one.
- A known user's attempt, in a live session or on a device with an earlier login of the user, is
  counted there and with all other known users of the account, but not with strangers: guesses by
  strangers lock out no known user. Somebody who once had the password may keep many devices; what
  they try beyond the common limit counts as a stranger's attempt.
- A success takes back its own attempt, never those of others: somebody who guesses a password while
  its owner logs in gains no attempts from these logins. Networks and the total keep even that one.
- The layers are counted one after the other, each atomically, and the account last: an attempt that
  one layer refuses uses up nothing of the layers behind it. If the store fails in between, the
  attempt is not made, and what was counted of it stays counted; no attempt is made uncounted.
- The total has one counter, on one shard. It alone is left out while that shard is down, so that
  the users of other shards can log in.
"""

import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from clusterpass.model.counters import Counters
from clusterpass.model.errors import StoreUnavailable, TooManyAttempts
from clusterpass.model.json_form import Value
from clusterpass.model.network_prefixes import counted_address, counted_site
from clusterpass.model.policy import check_whole
from clusterpass.protocol.calls import directory as directory_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.tokens.identifiers import check_subject

_LONGEST_WINDOW: Final = 86_400
_MOST_ATTEMPTS: Final = 1_000_000
_LONGEST_NAME: Final = 255
_TOGETHER: Final = "together"
"""In place of the digest of one session or device."""
_IGNORED: Final = frozenset({"Cf", "Cc"})
"""The categories of characters that nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy(Value):
    """The limits of the login throttle: attempts, and the seconds in which they count.

    The constructor raises ConfigurationError when a value is out of range.
    """

    account_attempts: int = 10
    """The attempts that strangers have at an account in one window, 1 to 1,000,000."""
    account_window: int = 300
    """The length of an account's window in seconds, at most one day."""
    address_attempts: int = 100
    """The attempts that an IP address (IPv6: a /64) has in one window, 1 to 1,000,000."""
    address_window: int = 300
    """The length of an address's window in seconds, at most one day."""
    network_attempts: int = 1000
    """The attempts that an IPv6 /48 has in one window, 1 to 1,000,000."""
    network_window: int = 300
    """The length of a network's window in seconds, at most one day."""
    total_attempts: int = 100_000
    """The attempts that all strangers have together in one window, 1 to 1,000,000."""
    total_window: int = 300
    """The length of the common window in seconds, at most one day."""
    known_attempts: int = 10
    """The attempts that a live session, or a known device of a user, has in one window, 1 to
    1,000,000."""
    known_window: int = 300
    """The length of the window of a live session or a known device in seconds, at most one day."""
    known_total_attempts: int | None = 50
    """The attempts that all live sessions and known devices of a user have together in one
    ``known_window``, 1 to 1,000,000; further ones count as those of strangers. None: they have no
    limit together."""

    def __post_init__(self) -> None:
        for layer in ("account", "address", "network", "total", "known"):
            for name, most in (
                (f"{layer}_attempts", _MOST_ATTEMPTS),
                (f"{layer}_window", _LONGEST_WINDOW),
            ):
                check_whole(name, getattr(self, name), 1, most)
        if self.known_total_attempts is not None:
            check_whole("known_total_attempts", self.known_total_attempts, 1, _MOST_ATTEMPTS)


class Throttle:
    """The flows that count and limit attempts."""

    def __init__(
        self, keyspace: Keyspace, policy: ThrottlePolicy, counters: Counters | None = None
    ) -> None:
        """``policy``: the limits. ``counters``: count the refusals; None: nobody does."""
        self._keyspace = keyspace
        self._policy = policy
        self._refused = (counters or Counters()).throttled

    def admit(self, username: str, *, address: str | None, known: str | None = None) -> Flow[None]:
        """Count an attempt.

        ``known``: the id of the live session or of the known device that makes it; None: a stranger
        does. Raises TooManyAttempts when a limit is exceeded, and InvalidInput for a name that
        cannot be a subject.
        """
        check_subject(username)
        keyspace = self._keyspace
        if known is not None:
            name = canonical_name(username)
            yield from self._count("known", keyspace.attempts_by_known(name, _digest(known)))
            if (yield from self._is_within_total(name)):
                return
        if address is not None:
            customer, site = counted_address(address), counted_site(address)
            key = keyspace.attempts_by_address(customer)
            yield from self._count("address", key)
            if site is not None:
                key = keyspace.attempts_by_address(site)
                yield from self._count("network", key)
        yield from self._count_in_total()
        key = keyspace.attempts_by_account(canonical_name(username))
        yield from self._count("account", key)

    def forget(self, username: str, *, known: str | None = None) -> Flow[None]:
        """Give the attempt back after a success.

        ``known``: as for the attempt; all attempts that were made there are forgotten.
        """
        check_subject(username)
        name = canonical_name(username)
        if known is not None:
            key = self._keyspace.attempts_by_known(name, _digest(known))
            yield directory_calls.forget_attempts(key)
            if self._policy.known_total_attempts is not None:
                together = self._keyspace.attempts_by_known(name, _TOGETHER)
                yield directory_calls.return_attempt(together)
        else:
            yield directory_calls.return_attempt(self._keyspace.attempts_by_account(name))

    def _is_within_total(self, name: str) -> Flow[bool]:
        """Count an attempt with all who are known at the account, if they have a limit together."""
        most = self._policy.known_total_attempts
        if most is None:
            return True
        key = self._keyspace.attempts_by_known(name, _TOGETHER)
        return not (yield from _seconds(key, most, self._policy.known_window))

    def _count_in_total(self) -> Flow[None]:
        try:
            yield from self._count("total", self._keyspace.attempts_in_total())
        except StoreUnavailable:
            return

    def _count(self, layer: str, key: bytes) -> Flow[None]:
        policy = self._policy
        most, window = getattr(policy, f"{layer}_attempts"), getattr(policy, f"{layer}_window")
        if seconds := (yield from _seconds(key, most, window)):
            self._refused[layer] += 1
            raise TooManyAttempts(retry_after=seconds)


def _seconds(key: bytes, most: int, window: int) -> Flow[int]:
    """Count an attempt; return 0, or after how many seconds there may be another one."""
    answer: Answer[int] = yield directory_calls.count_attempt(key, most=most, window_seconds=window)
    return answer.reply


def canonical_name(username: str) -> str:
    """Return what ``username`` is counted as, however it is spelt.

    Its case, its blanks, characters that nobody sees, and compatible forms of its letters make no
    difference: a check of passwords may ignore them, and would give an attacker a counter for each
    spelling. Users who differ in nothing else share a counter.
    """
    folded = unicodedata.normalize("NFKC", username).casefold()
    folded = unicodedata.normalize("NFKC", folded)
    seen = "".join(each for each in folded if unicodedata.category(each) not in _IGNORED)
    name = " ".join(seen.split())
    if len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return _digest(name)
    return name or username


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
