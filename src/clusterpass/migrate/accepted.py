"""Checks of other issuers, and of tokens that a look-up finds, before a manager accepts them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from clusterpass.limits import LONGEST_LIFETIME
from clusterpass.migrate.old_issuer import OldIssuer, logger
from clusterpass.model.authentication_errors import TokenExpired
from clusterpass.model.errors import ConfigurationError, InvalidInput
from clusterpass.model.old_tokens import OldToken
from clusterpass.model.policy import check_whole
from clusterpass.tokens.issuer import check_claims


def lifetimes_of(issuers: Sequence[object]) -> dict[str, int]:
    """Return the lifetime of each issuer, in seconds, by its name.

    Raises ConfigurationError for what is no OldIssuer, for two of one name, and for two of one key
    where one of them takes the refresh tokens of the other for access tokens.
    """
    lifetimes: dict[str, int] = {}
    by_key: dict[bytes, list[OldIssuer]] = {}
    for each in issuers:
        if not isinstance(each, OldIssuer):
            raise ConfigurationError("accept takes what flask_jwt_extended() and others return")
        if each.name in lifetimes:
            raise ConfigurationError(f"two issuers are named {each.name!r}: give one a name=")
        lifetimes[each.name] = each.lifetime
        by_key.setdefault(each.key_digest, []).append(each)
    for alike in by_key.values():
        if len(alike) > 1 and not all(each.tells_kinds for each in alike):
            names = " and ".join(each.name for each in alike)
            raise ConfigurationError(
                f"{names} have one key, and one of them takes every token for an access token"
            )
    return lifetimes


def check_look_up(name: object, lifetime: object, known: Mapping[str, int]) -> None:
    """Raise ConfigurationError unless ``name`` is new and ``lifetime`` whole seconds."""
    if not isinstance(name, str) or not name or name in known:
        raise ConfigurationError("look_up_name must be a name that no issuer has")
    check_whole("look_up_lifetime", lifetime, 1, LONGEST_LIFETIME)


def checked(old: object, name: str, lifetimes: Mapping[str, int], now: float) -> OldToken:
    """Return the token that a look-up found, which is valid for no longer than was said.

    Raises ConfigurationError for what is no OldToken of ``name``, and TokenExpired.
    """
    if not isinstance(old, OldToken) or old.issuer != name:
        raise ConfigurationError(
            f"look_up must return an OldToken whose issuer is {name!r}, its look_up_name, or None"
        )
    expires_at = min(old.expires_at, old.issued_at + lifetimes[name])
    if now >= expires_at:
        raise TokenExpired
    return replace(old, expires_at=expires_at)


def can_be_kept(old: OldToken) -> bool:
    """Return whether a session can carry the claims of ``old``; log what to do where it cannot."""
    try:
        check_claims(old.claims)
    except InvalidInput as error:
        logger.warning(
            "a token of %s cannot be exchanged: %s; pass user_of, which chooses the claims",
            old.issuer,
            error,
        )
        return False
    return True
