"""Finds the subject of a token, whether or not its session is live."""

from contextlib import suppress

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


def claimed_by(token: str) -> tuple[str | None, str | None]:
    """Return the subject and the session id that a token names, without any check of it.

    For a token that something else has found genuine: anybody can write what is returned. What the
    token does not name is None.
    """
    if looks_like_refresh_token(token):
        with suppress(AuthenticationError):
            parsed = parse_refresh_token(token)
            return parsed.subject, encode_session_id(parsed.session_id)
        return None, None
    with suppress(ValueError, IndexError):
        members = decode_json_object(decode_base64url(token.split(".")[1]))
        found = (members.get("sub"), members.get("sid"))
        return found[0] if isinstance(found[0], str) else None, (
            found[1] if isinstance(found[1], str) else None
        )
    return None, None
