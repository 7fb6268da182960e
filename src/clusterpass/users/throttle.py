"""The login throttle: limits on the attempts per account and per IP address, as flows.

- An attempt is counted before the password is checked, so parallel guesses are bounded.
- A window begins with its first attempt and expires, so nobody is locked out permanently.
- A success resets the count of the account, but never of the address. Otherwise the owner of one
  account could reset it to guess the passwords of others.
- IPv6 addresses are counted by their /64 network, as a customer has at least one of those.
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
    """How many attempts are allowed in how many seconds.

    The constructor raises ConfigurationError when a value is out of range.
    """

    account_attempts: int = 10
    """The attempts that an account has in one window, 1 to 1,000,000."""
    account_window: int = 300
    """The length of an account's window in seconds, at most one day."""
    address_attempts: int = 100
    """The attempts that an IP address has in one window, 1 to 1,000,000."""
    address_window: int = 300
    """The length of an address's window in seconds, at most one day."""

    def __post_init__(self) -> None:
        for attempts in (self.account_attempts, self.address_attempts):
            if not 1 <= attempts <= _MOST_ATTEMPTS:
                raise ConfigurationError(f"a throttle allows 1 to {_MOST_ATTEMPTS} attempts")
        for window in (self.account_window, self.address_window):
            if not 1 <= window <= _LONGEST_WINDOW:
                raise ConfigurationError(f"a throttle's window is 1 to {_LONGEST_WINDOW} seconds")


class Throttle:
    """The flows that count and limit attempts."""

    def __init__(self, keyspace: Keyspace, policy: ThrottlePolicy) -> None:
        """``policy``: the limits."""
        self._keyspace = keyspace
        self._policy = policy

    def admit(self, username: str, *, address: str | None) -> Flow[None]:
        """Count an attempt.

        Raises TooManyAttempts when a limit is exceeded, and InvalidInput for a name that cannot be
        a subject.
        """
        check_subject(username)
        if address is not None:
            # The address counts first: a blocked address must not use up an account's attempts.
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
        """Reset the count of the account after a success."""
        check_subject(username)
        yield directory_calls.forget_attempts(self._keyspace.attempts_by_account(username))

    def _count(self, key: bytes, most: int, window_seconds: int) -> Flow[None]:
        answer: Answer[int] = yield directory_calls.count_attempt(
            key, most=most, window_seconds=window_seconds
        )
        if answer.reply:
            raise TooManyAttempts(retry_after=answer.reply)


def counted_address(address: str) -> str:
    """Return what ``address`` is counted as: IPv4 as itself, IPv6 as its /64 network.

    Text that is not an IP address, such as the path of a Unix socket, is truncated to 64
    characters.
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
