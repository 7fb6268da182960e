"""The subject of a token, found without the store."""

import pytest

from clusterpass.model.authentication_errors import (
    InvalidRefreshToken,
    TokenSignatureInvalid,
)
from clusterpass.sessions.token_subject import subject_of_token

from .driven_flows import (
    REFRESH,
    access_token,
    config,
)


def test_the_subject_of_a_token_is_found_without_the_store() -> None:
    old = access_token("bob", issued_at=10**9, expires_at=10**9 + 900)
    assert subject_of_token(config(), old) == "bob"
    assert subject_of_token(config(), REFRESH.encode()) == "alice"
    with pytest.raises(TokenSignatureInvalid):
        subject_of_token(config(), old[:-8] + "AAAAAAAA")
    with pytest.raises(InvalidRefreshToken):
        subject_of_token(config(), "cpr_AAAA")
