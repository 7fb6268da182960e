"""Whose session a token belongs to, whatever has become of the session."""

from clusterpass.config import Config
from clusterpass.tokens.refresh import looks_like_refresh_token, parse_refresh_token
from clusterpass.tokens.verifier import TokenVerifier


def subject_of_token(config: Config, token: str) -> str:
    """The subject that an access token, expired or not, or a refresh token names. No round trip.

    The signature of an access token is checked; a refresh token is only parsed, as its secret is
    the store's to check. Raises InvalidToken or InvalidRefreshToken for what is no such token.
    """
    if looks_like_refresh_token(token):
        return parse_refresh_token(token).subject
    verifier = TokenVerifier(config.keys, issuer=config.issuer, audience=config.audience)
    return verifier.verify(token, allow_expired=True).subject
