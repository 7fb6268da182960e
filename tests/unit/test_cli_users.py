"""Commands about users: passwords from standard input, lists, links and deletion."""

import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import OneTimeLink, User
from clusterpass.model.errors import InvalidInput

from .cli_terminal import AT, ENDED, SHOWN, Terminal


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(monkeypatch)


def test_what_is_asked_before_a_user_is_deleted_is_no_output(terminal: Terminal) -> None:
    terminal.answers["delete"] = ENDED
    refused = terminal.run("users", "delete", "al\nice", typed="n\n")
    assert (refused.exit_code, refused.stdout, terminal.asked) == (1, "", [])
    assert "Delete al\\nice?" in refused.stderr
    said = terminal.says("users", "delete", "alice", typed="y\n")
    assert said == "deleted alice, ended 2 sessions\n"
    assert terminal.asked == [("delete", ("alice",), {"erase": False})]


@pytest.mark.parametrize(
    ("typed", "password"),
    [
        ("secret words\n", "secret words"),
        ("secret words\r\nmore\n", "secret words"),
        (" as it is ", " as it is "),
        ("", ""),
    ],
)
def test_a_password_is_the_first_line_of_standard_input(
    terminal: Terminal, typed: str, password: str
) -> None:
    terminal.answers |= {"add": None, "set_password": ENDED}
    assert terminal.says("users", "add", "alice", "--password-stdin", typed=typed) == (
        "added alice\n"
    )
    assert terminal.says("users", "passwd", "alice", "--password-stdin", typed=typed) == (
        "changed the password of alice, ended 2 sessions\n"
    )
    assert terminal.asked == [
        ("add", ("alice", password), {}),
        ("set_password", ("alice", password), {}),
    ]


def test_a_password_that_is_typed_is_typed_twice_and_not_shown(terminal: Terminal) -> None:
    terminal.answers["add"] = None
    said = terminal.says("users", "add", "alice", typed="secret words\nsecret words\n")
    assert "secret" not in said
    assert terminal.asked == [("add", ("alice", "secret words"), {})]
    assert terminal.run("users", "add", "alice", typed="secret words\nother words\n").exit_code == 1
    assert len(terminal.asked) == 1


def test_a_password_that_is_no_text(terminal: Terminal) -> None:
    outcome = terminal.run("users", "add", "alice", "--password-stdin", typed=b"\xff\n")
    assert isinstance(outcome.exception, InvalidInput)
    assert "not valid UTF-8" in outcome.exception.message


def test_users_in_lines_and_as_json(terminal: Terminal) -> None:
    found = [User("a\nb", disabled=True, created_at=AT), User("c", disabled=False, created_at=0)]
    terminal.answers["list"] = found
    assert terminal.says("users", "list") == (
        "a\\nb\tdisabled\tsince 2023-11-14\nc\tenabled\tsince 1970-01-01\n"
    )
    assert json.loads(terminal.says("users", "list", "--json")) == [
        {"name": "a\nb", "disabled": True, "created_at": AT},
        {"name": "c", "disabled": False, "created_at": 0},
    ]


@pytest.mark.parametrize(
    ("command", "verb", "seconds"),
    [("reset-link", "make_link", 3600), ("invite", "invite", 259_200)],
)
def test_a_link_alone_is_on_standard_output(
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    verb: str,
    seconds: int,
) -> None:
    monkeypatch.setenv("CLUSTERPASS_ISSUER", "https://auth.example")
    terminal.answers[verb] = OneTimeLink("al ice", "cpl_x", AT)
    link = "https://auth.example/page/link?token=cpl_x"
    made = terminal.run("users", command, "al ice")
    assert (made.exit_code, made.stdout) == (0, f"{link}\n")
    assert made.stderr == f"for al ice, once, until {SHOWN}\n"
    assert terminal.asked[-1] == (verb, ("al ice",), {"for_seconds": seconds})
    told = {"name": "al ice", "link": link, "sent_to": None, "expires_at": AT}
    assert json.loads(terminal.says("users", command, "al ice", "--json")) == told


@pytest.mark.parametrize(
    ("command", "verb", "kind"),
    [("reset-link", "make_link", "reset"), ("invite", "invite", "invitation")],
)
def test_a_link_that_is_mailed_is_shown_to_nobody(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, command: str, verb: str, kind: str
) -> None:
    monkeypatch.setenv("CLUSTERPASS_ISSUER", "https://auth.example")
    sent: list[Any] = []
    monkeypatch.setitem(sys.modules, "our_mails", SimpleNamespace(send=sent.append))  # type: ignore[arg-type]
    monkeypatch.setenv("CLUSTERPASS_MAIL_SENDER", "our_mails:send")
    terminal.answers[verb] = OneTimeLink("alice", "cpl_x", AT)
    address = "alice@example.org"
    assert terminal.says("users", command, "alice", "--send-to", address) == f"sent to {address}\n"
    told = json.loads(terminal.says("users", command, "alice", "--send-to", address, "--json"))
    assert told == {"name": "alice", "link": None, "sent_to": address, "expires_at": AT}
    assert [(mail.kind, mail.to, mail.username) for mail in sent] == [(kind, address, "alice")] * 2
    assert {mail.link for mail in sent} == {"https://auth.example/page/link?token=cpl_x"}
