"""Password hashes: parameters, normalization, verification and limits."""

import base64
from types import SimpleNamespace
from typing import Any

import argon2
import pytest
from hypothesis import given, strategies as st

from clusterpass import ClusterPassError, ConfigurationError, InvalidInput, StoreFailed
from clusterpass.model.network_prefixes import counted_address
from clusterpass.users.passwords import (
    PasswordHasher,
    check_new_password,
    check_password,
    prepare_password,
)

LIGHT = PasswordHasher(memory_kib=8)


def length_of(part: str) -> int:
    return len(base64.b64decode(part + "=" * (-len(part) % 4)))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"memory_kib": 8}, "m=8,t=1,p=1"),
        ({"memory_kib": 16, "passes": 2}, "m=16,t=2,p=1"),
        ({"memory_kib": 24, "passes": 1, "lanes": 3}, "m=24,t=1,p=3"),
        ({}, "m=47104,t=1,p=1"),
    ],
)
def test_a_hash_says_its_parameters_and_so_does_that_of_nobody(
    parameters: dict[str, int], said: str
) -> None:
    hasher = PasswordHasher(**parameters)
    for each in (hasher.hash("correct horse"), hasher._dummy):
        _, kind, version, chosen, salt, digest = each.split("$")
        assert (kind, version, chosen) == ("argon2id", "v=19", said)
        assert (length_of(salt), length_of(digest)) == (16, 32)
    assert not hasher.needs_rehash(hasher.hash("correct horse"))


def test_nobody_has_another_hash_in_each_process() -> None:
    assert LIGHT._dummy.split("$")[-2:] != PasswordHasher(memory_kib=8)._dummy.split("$")[-2:]


@pytest.mark.parametrize(
    "parameters",
    [
        {"memory_kib": 7},
        {"memory_kib": 15, "lanes": 2},
        {"memory_kib": 8, "passes": 0},
        {"memory_kib": 8, "lanes": 0},
    ],
)
def test_parameters_that_are_too_small(parameters: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="at least 8 KiB of memory for each lane"):
        PasswordHasher(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [{"memory_kib": 16}, {"memory_kib": 8, "passes": 2}, {"memory_kib": 16, "lanes": 2}],
)
def test_a_hash_with_other_parameters_is_made_again(parameters: dict[str, int]) -> None:
    other = PasswordHasher(**parameters)
    assert LIGHT.needs_rehash(other.hash("correct horse"))
    assert LIGHT.verify(other.hash("correct horse"), "correct horse")


def test_only_the_password_itself_fits() -> None:
    known = LIGHT.hash("correct hörse")
    assert LIGHT.verify(known, "correct hörse") is True
    for other in ("correct horse", "correct hörse ", "Correct hörse", "x"):
        assert LIGHT.verify(known, other) is False
    assert LIGHT.verify(None, "correct hörse") is False
    assert LIGHT.verify("", "correct hörse") is False


COMPOSED = "correct h\u00f6rse"
DECOMPOSED = "correct ho\u0308rse"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (COMPOSED, DECOMPOSED),
        ("correct\u00a0horse", "correct horse"),
        ("correct\u3000h\u00f6rse", DECOMPOSED),
        ("\u212b\u212b\u212b correct", "\u00c5\u00c5\u00c5 correct"),
    ],
)
def test_a_password_fits_however_a_keyboard_composes_it(one: str, other: str) -> None:
    for stored, typed in ((one, other), (other, one)):
        known = LIGHT.hash(stored)
        assert LIGHT.verify(known, typed)
        assert not LIGHT.is_as_typed(known, typed)
    assert not LIGHT.verify(LIGHT.hash(one), one.upper())


def of_an_earlier_release(password: str) -> str:
    return LIGHT._hasher.hash(password.encode())


def test_a_hash_of_the_password_as_it_was_typed_still_fits() -> None:
    for typed in (DECOMPOSED, "correct\u00a0horse", "tab\tulator", "\u0378 unassigned"):
        known = of_an_earlier_release(typed)
        assert LIGHT.verify(known, typed)
        assert LIGHT.is_as_typed(known, typed) == (prepare_password(typed) != typed)
    assert not LIGHT.verify(of_an_earlier_release(DECOMPOSED), COMPOSED), "as before"


def test_a_check_takes_as_many_hashes_whether_it_fits_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hasher = PasswordHasher(memory_kib=8)
    known = hasher.hash(COMPOSED)
    for password, wanted in ((COMPOSED, 1), ("correct horse", 1), (DECOMPOSED, 2)):
        for stored in (known, None, of_an_earlier_release(password), hasher.hash("x" * 8)):
            checks: list[bytes] = []
            verify = hasher._hasher.verify

            def counted(
                stored: str, data: bytes, checks: Any = checks, verify: Any = verify
            ) -> bool:
                checks.append(data)
                return bool(verify(stored, data))

            with monkeypatch.context() as patch:
                patch.setattr(hasher, "_hasher", SimpleNamespace(verify=counted))
                hasher.verify(stored, password)
            assert len(checks) == wanted


def test_a_new_password_has_eight_characters_in_the_form_that_is_hashed() -> None:
    with pytest.raises(InvalidInput, match="at least 8 characters"):
        LIGHT.hash("o\u0308" * 7)
    assert LIGHT.verify(LIGHT.hash("o\u0308" * 8), "\u00f6" * 8)


@pytest.mark.parametrize("password", ["tab\tulator", "bell\x07bell", "\u0378 unassigned", "a" * 8])
def test_what_the_profile_forbids_stays_as_it_is(password: str) -> None:
    assert prepare_password(password) == password
    assert LIGHT.verify(LIGHT.hash(password), password)


@given(st.text(min_size=8, max_size=40))
def test_every_password_fits_its_own_hash(password: str) -> None:
    try:
        known = LIGHT.hash(password)
    except InvalidInput:
        return
    assert LIGHT.verify(known, password)
    prepared = prepare_password(password)
    assert prepare_password(prepared) == prepared


def test_not_even_a_password_that_fits_makes_a_user_of_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LIGHT, "_dummy", LIGHT.hash("correct horse"))
    assert LIGHT.verify(None, "correct horse") is False


@pytest.mark.parametrize(
    "stored",
    [
        "$argon2id$v=19$",
        "$argon2id$v=19$m=8,t=1,p=1$",
        "$argon2id$v=19$m=4,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$c29tZXNhbHRzb21lc2FsdA",
    ],
)
def test_a_hash_that_lost_its_end_is_a_fault_of_the_store(stored: str) -> None:
    with pytest.raises(StoreFailed, match="A stored password hash cannot be read"):
        LIGHT.verify(stored, "correct horse")


@pytest.mark.parametrize("stored", ["x", "$2b$12$abcdefghijklmnopqrstuv"])
def test_a_hash_that_cannot_be_read_is_a_fault_of_the_store(stored: str) -> None:
    with pytest.raises(StoreFailed, match="A stored password hash cannot be read"):
        LIGHT.verify(stored, "correct horse")
    with pytest.raises(StoreFailed, match="A stored password hash cannot be read"):
        LIGHT.needs_rehash(stored)


def test_a_failure_of_argon2_is_not_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> bool:
        raise argon2.exceptions.VerificationError("Memory allocation error")

    hasher = PasswordHasher(memory_kib=8)
    monkeypatch.setattr(hasher, "_hasher", SimpleNamespace(verify=fails))
    with pytest.raises(ClusterPassError, match="could not be checked"):
        hasher.verify(None, "correct horse")


@pytest.mark.parametrize("password", ["x", "x" * 1024, "ö" * 512, " "])
def test_a_password_that_may_be_checked(password: str) -> None:
    assert check_password(password) == password.encode()


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "must take 1 to 1024 bytes"),
        ("x" * 1025, "must take 1 to 1024 bytes"),
        ("ö" * 512 + "x", "must take 1 to 1024 bytes"),
        ("\ud800", "not valid Unicode"),
        (b"bytes", "must be a string"),
        (None, "must be a string"),
    ],
)
def test_what_cannot_be_a_password(password: object, why: str) -> None:
    for check in (check_password, check_new_password):
        with pytest.raises(InvalidInput, match=why):
            check(password)


def test_a_new_password_has_eight_characters_not_bytes() -> None:
    assert check_new_password("öööööööö") == "öööööööö".encode()
    for short in ("1234567", "ööööööö"):
        with pytest.raises(InvalidInput, match="at least 8 characters"):
            check_new_password(short)
        with pytest.raises(InvalidInput, match="at least 8 characters"):
            LIGHT.hash(short)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("/run/clusterpass.sock", "/run/clusterpass.sock"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 64),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_what_an_address_is_counted_as(address: str, counted: str) -> None:
    assert counted_address(address) == counted
