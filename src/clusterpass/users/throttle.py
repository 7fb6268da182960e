"""The login throttle: how many attempts an account and an address have, as flows.

- An attempt is counted before the password is checked, so guesses made in parallel are bounded.
- A window begins with its first attempt and ends by itself: nobody is locked out for good.
- Success makes an account's count void, an address's never: else one good account would let its
  owner guess at all others.
- IPv6 addresses count by their /64, as one customer owns at least that much.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from clusterpass.model.errors import ConfigurationError, TooManyAttempts
from clusterpass.protocol.calls import directory as directory_calls
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, Flow
from clusterpass.tokens.identifiers import check_subject

_CUSTOMER_BITS: Final = 64
_LONGEST_WINDOW: Final = 86_400
_MOST_ATTEMPTS: Final = 1_000_000
_LONGEST_ADDRESS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy:
    """How many attempts are allowed, in how many seconds; raises ConfigurationError."""

    account_attempts: int = 10
    account_window: int = 300
    address_attempts: int = 100
    address_window: int = 300

    def __post_init__(self) -> None:
        for attempts in (self.account_attempts, self.address_attempts):
            if not 1 <= attempts <= _MOST_ATTEMPTS:
                raise ConfigurationError(f"a throttle allows 1 to {_MOST_ATTEMPTS} attempts")
        for window in (self.account_window, self.address_window):
            if not 1 <= window <= _LONGEST_WINDOW:
                raise ConfigurationError(f"a throttle's window is 1 to {_LONGEST_WINDOW} seconds")


class Throttle:
    """The flows that count attempts."""

    def __init__(self, keyspace: Keyspace, policy: ThrottlePolicy) -> None:
        """``policy``: the numbers."""
        self._keyspace = keyspace
        self._policy = policy

    def admit(self, username: str, *, address: str | None) -> Flow[None]:
        """Count an attempt; raises TooManyAttempts, or InvalidInput for no possible name."""
        check_subject(username)
        if address is not None:
            # First the address: one that is over its limit must not use up an account's attempts.
            yield from self._count(
                self._keyspace.attempts_by_address(counted_address(address)),
                self._policy.address_attempts,
                self._policy.address_window,
            )
        yield from self._count(
            self._keyspace.attempts_by_account(username),
            self._policy.account_attempts,
            self._policy.account_window,
        )

    def forget(self, username: str) -> Flow[None]:
        """Make the account's count void, after a success."""
        check_subject(username)
        yield directory_calls.forget_attempts(self._keyspace.attempts_by_account(username))

    def _count(self, key: bytes, most: int, window_seconds: int) -> Flow[None]:
        answer: Answer[int] = yield directory_calls.count_attempt(
            key, most=most, window_seconds=window_seconds
        )
        if answer.reply:
            raise TooManyAttempts(retry_after=answer.reply)


def counted_address(address: str) -> str:
    """What stands for ``address`` in the counters: IPv4 itself, IPv6 its /64.

    What is no IP address (a Unix socket's name) counts under itself, cut to 64 characters.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address.encode("utf-8", "replace").decode("utf-8")[:_LONGEST_ADDRESS]
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ip_network((int(parsed), _CUSTOMER_BITS), strict=False))
    return str(parsed)
