"""``PasswordPolicy``: length, common passwords and passwords like the name."""

import re
from importlib.resources import files
from typing import Any

import pytest

from clusterpass import ConfigurationError, InvalidInput, PasswordPolicy, PasswordRefused
from clusterpass.users.password_policy import is_common

POLICY = PasswordPolicy()


def reason_of(password: Any, username: str = "alice", policy: PasswordPolicy = POLICY) -> Any:
    """Why a password is refused; None where it is not."""
    try:
        policy.check(password, username)
    except PasswordRefused as refused:
        assert (refused.code, refused.status) == ("password_refused", 422)
        return refused.reason
    return None


@pytest.mark.parametrize("shortest", [8, 15, 64])
def test_the_shortest_is_what_the_operator_says(shortest: int) -> None:
    policy = PasswordPolicy(shortest=shortest)
    fitting = "öüfwkxqzjv" * 7
    assert reason_of(fitting[:shortest], policy=policy) is None
    assert reason_of(fitting[: shortest - 1], policy=policy) == "too_short"
    with pytest.raises(PasswordRefused, match=f"at least {shortest} characters"):
        policy.check("x", "alice")


def test_no_message_holds_the_password() -> None:
    for password in ("iloveyou", "zoë-zoë-1"):
        with pytest.raises(PasswordRefused) as refused:
            POLICY.check(password, "zoë")
        assert password not in str(refused.value) + repr(refused.value)


@pytest.mark.parametrize("shortest", [0, 7, 65])
def test_what_a_policy_may_not_require(shortest: int) -> None:
    with pytest.raises(ConfigurationError, match="8 to 64"):
        PasswordPolicy(shortest=shortest)


def test_long_passwords_and_any_characters_are_accepted() -> None:
    for password in (
        "x1y2 " * 13,
        "a passphrase of small letters",
        "27182818284590",
        "密码是很长的一句话",
    ):
        assert reason_of(password) is None


@pytest.mark.parametrize("password", ["", "x" * 1025, "\ud800", None, 12345678])
def test_what_cannot_be_a_password_is_no_matter_of_the_policy(password: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        POLICY.check(password, "alice")
    assert not isinstance(caught.value, PasswordRefused)


@pytest.mark.parametrize(
    "password",
    ["password", "PassWord", "\uff50\uff41ssword", " iloveyou ", "12345678", "qwertyuiop"],
)
def test_common_passwords_are_refused_in_any_capitals(password: str) -> None:
    assert reason_of(password) == "too_common"


@pytest.mark.parametrize(
    "password", ["password\npassword1", "xpassword", "password but longer", "\n", ""]
)
def test_the_list_is_compared_as_a_whole(password: str) -> None:
    assert not is_common(password)


def test_the_list_has_one_entry_a_line_in_the_form_that_is_searched() -> None:
    text = files("clusterpass.users").joinpath("common_passwords.txt").read_text("utf-8")
    assert re.fullmatch(r"\n([^\n]{8,}\n)+", text)
    entries = text.strip().split("\n")
    assert len(entries) == len(set(entries)) > 8000
    assert all(is_common(entry) for entry in entries)
    assert "Django" in files("clusterpass.users").joinpath("common_passwords.LICENSE").read_text()


@pytest.mark.parametrize(
    ("password", "username"),
    [
        ("alexandra8", "alexandra8"),
        ("Alexandra!!1", "alexandra"),
        ("bob-bob-bob", "bob"),
        ("alexandra.1", "alexandra@example.org"),
        ("alexandra@example.org", "alexandra@example.org"),
        ("ÄNNCHEN12", "ännchen"),
    ],
)
def test_little_more_than_the_name_is_refused(password: str, username: str) -> None:
    assert reason_of(password, username) == "like_user_name"


@pytest.mark.parametrize(
    ("password", "username"),
    [
        ("bob likes long walks", "bob"),
        ("a banana a day", "a"),
        ("an ox and 2 ap", "an"),
        ("example.org is nice", "alexandra@example.org"),
        ("dangerous moose", "@example.org"),
    ],
)
def test_a_name_may_be_part_of_a_password(password: str, username: str) -> None:
    assert reason_of(password, username) is None
