"""A marker for an access token that is verified before the client has received it.

The request that issued the token verifies it. Such a verify does not count as a use.
"""


class UndeliveredToken(str):
    """An access token that its client has not received yet; the answer may still be lost.

    Verified as every other token, but that is no use of it: the refresh token before it may be
    presented again (``Config.refresh_retry``). It stands for a string, so that a manager with a
    ``verify`` of its own is asked as ever.
    """

    __slots__ = ()


__all__ = ["UndeliveredToken"]
