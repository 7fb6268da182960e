"""Known attacks on the claims about the authentication and the actor."""

from typing import Any

import pytest

from clusterpass.model.authentication_errors import TokenMalformed

from .keys import key_of
from .tokens import NOW, payload, refuse, signed, verifier

NO_TEXTS = [5, True, 1.5, ["1"], {"1": 1}]


@pytest.mark.parametrize("value", NO_TEXTS)
def test_level_that_is_no_text(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(acr=value)), key)


@pytest.mark.parametrize("value", [None, "pwd", {"pwd": 1}, 5, True, ["pwd", 5], [["pwd"]], [None]])
def test_methods_that_are_no_list_of_texts(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(amr=value)), key)


@pytest.mark.parametrize("value", [NOW + 0.5, float(NOW), True, False, str(NOW), "", [NOW], {}])
def test_time_of_the_authentication_that_is_no_whole_number(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(auth_time=value)), key)


@pytest.mark.parametrize("value", [5, 1.5, True, [], ["x"], {"id": "x"}])
def test_step_up_that_is_no_text(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(step_up=value)), key)


ACTORS = ["sam", 5, True, [], ["sam"], {}, {"sub": "sam"}, {"sid": "x"}, {"sub": 5, "sid": "x"}]
ACTORS += [{"sub": "sam", "sid": None}, {"sub": ["sam"], "sid": "x"}]


@pytest.mark.parametrize("value", ACTORS)
def test_actor_that_cannot_be_read(value: Any) -> None:
    key = key_of("EdDSA")
    refuse(TokenMalformed, signed(key, None, payload(act=value)), key)


def test_authentication_that_is_missing_is_none() -> None:
    key = key_of("EdDSA")
    claims = verifier(key).verify(signed(key, None, payload(acr=None, auth_time=None, act=None)))
    assert (claims.acr, claims.auth_time, claims.amr, claims.act) == (None, None, (), None)
