"""Finds the subject of a token, whether or not its session is live."""

from clusterpass.config import Config
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
