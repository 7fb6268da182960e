"""Token issuers preset for the libraries that people migrate from.

Their secrets may be shorter than ClusterPass accepts for itself, because they are already in use,
and stay so until the last old token expires.
"""

from collections.abc import Mapping
from typing import Final

from clusterpass.limits import DAY
from clusterpass.migrate.old_issuer import ACCESS_AND_REFRESH, Key, OldIssuer
from clusterpass.model.old_tokens import OldTokenKind

_NONE: Final[frozenset[str]] = frozenset()


def flask_jwt_extended(
    key: Key,
    *,
    algorithm: str = "HS256",
    lifetime: int = 30 * DAY,
    identity_claim: str = "sub",
    issuer: str | None = None,
    audience: str | None = None,
    name: str = "flask-jwt-extended",
) -> OldIssuer:
    """Return the issuer of an application that used Flask-JWT-Extended 4.

    ``key``: ``JWT_SECRET_KEY``, or ``JWT_PUBLIC_KEY``. ``lifetime``: the seconds of
    ``JWT_REFRESH_TOKEN_EXPIRES``. The others are ``JWT_ALGORITHM``, ``JWT_IDENTITY_CLAIM``,
    ``JWT_DECODE_ISSUER`` and ``JWT_DECODE_AUDIENCE``. Raises ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        subject_claim=identity_claim,
        kind_claim="type",
        issuer=issuer,
        audience=audience,
        takes_any_audience=True,  # as the library does
        own_claims=("fresh", "csrf"),
    )


def simplejwt(
    key: Key,
    *,
    algorithm: str = "HS256",
    lifetime: int = DAY,
    user_id_claim: str = "user_id",
    token_type_claim: str = "token_type",  # noqa: S107 (the name of a claim)
    issuer: str | None = None,
    audience: str | None = None,
    name: str = "simplejwt",
) -> OldIssuer:
    """Return the issuer of an application that used djangorestframework-simplejwt.

    ``key``: ``SIGNING_KEY``, which is ``SECRET_KEY`` by default, or ``VERIFYING_KEY``.
    ``lifetime``: the seconds of ``REFRESH_TOKEN_LIFETIME``. Sliding tokens are access tokens that
    can be exchanged until their ``exp``. The others are the settings of these names. Raises
    ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        subject_claim=user_id_claim,
        kind_claim=token_type_claim,
        kinds={**ACCESS_AND_REFRESH, "sliding": "access"},
        exchangeable=frozenset({"refresh", "sliding"}),
        issuer=issuer,
        audience=audience,
        takes_any_audience=True,  # as the library does
        own_claims=("refresh_exp",),
    )


def fastapi_users_jwt(
    key: Key,
    *,
    lifetime: int,
    algorithm: str = "HS256",
    audience: str = "fastapi-users:auth",
    name: str = "fastapi-users",
) -> OldIssuer:
    """Return the issuer of an application that used the JWTStrategy of fastapi-users.

    ``key``, ``lifetime``: the ``secret`` (or ``public_key``) and ``lifetime_seconds`` of the
    strategy. That has one kind of token, which can be exchanged for a session. Raises
    ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        audience=audience,
    )


def authx(
    key: Key,
    *,
    algorithm: str = "HS256",
    lifetime: int = 20 * DAY,
    issuer: str | None = None,
    audience: str | None = None,
    name: str = "authx",
) -> OldIssuer:
    """Return the issuer of an application that used AuthX.

    ``key``: ``JWT_SECRET_KEY``, or ``JWT_PUBLIC_KEY``. ``lifetime``: the seconds of
    ``JWT_REFRESH_TOKEN_EXPIRES``. Raises ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        kind_claim="type",
        issuer=issuer,
        audience=audience,
        own_claims=("fresh", "csrf", "token_type"),
    )


def authlib(
    key: Key,
    *,
    algorithm: str = "RS256",
    lifetime: int,
    issuer: str,
    audience: str,
    name: str = "authlib",
) -> OldIssuer:
    """Return the issuer of an authorization server that used Authlib (RFC 9068 access tokens).

    ``key``: the public key. ``lifetime``: seconds for which an access token is valid. Authlib's
    refresh tokens are opaque: pass a look-up for them. Raises ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        exchangeable=_NONE,
        token_type="at+jwt",  # noqa: S106 (RFC 9068 section 4)
        issuer=issuer,
        audience=audience,
    )


def pyjwt(
    key: Key,
    *,
    algorithm: str = "HS256",
    lifetime: int,
    subject_claim: str = "sub",
    kind_claim: str | None = None,
    kinds: Mapping[str, OldTokenKind] = ACCESS_AND_REFRESH,
    issuer: str | None = None,
    audience: str | None = None,
    name: str = "pyjwt",
) -> OldIssuer:
    """Return the issuer of an application that signed tokens of its own, with PyJWT for example.

    ``lifetime``: seconds for which the longest-lived token is valid. ``kind_claim``: the claim that
    tells access and refresh tokens apart, whose values ``kinds`` explains; None: there is one kind
    of token, which can be exchanged for a session. Raises ConfigurationError.
    """
    return OldIssuer(
        name,
        key,
        algorithm=algorithm,
        lifetime=lifetime,
        subject_claim=subject_claim,
        kind_claim=kind_claim,
        kinds=kinds,
        exchangeable=frozenset(value for value, kind in kinds.items() if kind == "refresh"),
        issuer=issuer,
        audience=audience,
    )
