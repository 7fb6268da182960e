"""Reads the subject of a token without a round trip, and what a token claims, without any check."""

from contextlib import suppress
from typing import NamedTuple

from clusterpass.config import Config
from clusterpass.model.authentication_errors import AuthenticationError
from clusterpass.tokens.encoding import decode_base64url, decode_json_object
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.tokens.refresh import looks_like_refresh_token, parse_refresh_token
from clusterpass.tokens.verifier import TokenVerifier


def subject_of_token(config: Config, token: str) -> str:
    """Return the subject of a refresh token, or of an access token even if it has expired.

    No round trip. The signature of an access token is verified. A refresh token is only parsed, as
    only the store can check its secret. Raises InvalidToken or InvalidRefreshToken when ``token``
    is not valid.
    """
    if looks_like_refresh_token(token):
        return parse_refresh_token(token).subject
    verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
    return verifier.verify(token, allow_expired=True).subject


class Claimed(NamedTuple):
    """The subject, session and actor that a token claims; None: not claimed."""

    subject: str | None = None
    session_id: str | None = None
    actor: str | None = None
    """The subject of who impersonates."""


def claimed_by(token: str) -> Claimed:
    """Return what a token names, without any check of it.

    For a token that something else has found genuine: anybody can write what is returned.
    """
    if looks_like_refresh_token(token):
        with suppress(AuthenticationError):
            parsed = parse_refresh_token(token)
            return Claimed(parsed.subject, encode_session_id(parsed.session_id))
        return Claimed()
    with suppress(ValueError, IndexError):
        members = decode_json_object(decode_base64url(token.split(".")[1]))
        act = members.get("act")
        found = (members.get("sub"), members.get("sid"), isinstance(act, dict) and act.get("sub"))
        return Claimed(*(each if isinstance(each, str) else None for each in found))
    return Claimed()
