"""Secrets for one purpose, such as the forms of a page, which all servers derive identically."""

from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing
from clusterpass.tokens.refresh_secrets import STORE, derive_from
from clusterpass.tokens.secret_texts import value_of


def derived_secrets(
    keys: KeyRing, shared_secrets: tuple[str, ...], purpose: str
) -> tuple[bytes, ...]:
    """Return 32 bytes for each secret and private key: the first one is to be used, all accepted.

    ``shared_secrets``: those of the configuration. They come first, so that a signing key may go at
    any time, unless ``store`` precedes them: then servers without them go on to read what is made
    here. Where there is none, the signing key comes first, and what it made is void when it goes.
    Raises ConfigurationError when there is neither a secret nor a private key that is here.
    """
    found = [derive_from(value_of(each), purpose) for each in shared_secrets if each != STORE]
    private = [keys.signing_key, *keys.all()] if not found or keys.can_sign else []
    if keys.managed is None:
        distinct = {key.kid: key for key in private if key.can_derive}
        own = [key.derive_secret(purpose) for key in distinct.values()]
        found = own + found if STORE in shared_secrets else found + own
    if not found:
        raise ConfigurationError(
            "forms and cookies need a secret that every server has; give refresh_secrets, as the"
            " private half of the signing key is not here"
        )
    return tuple(found)
