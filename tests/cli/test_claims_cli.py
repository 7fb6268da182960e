"""``clusterpass claims``: what it prints, and what it refuses."""

import json
import time

import pytest

from .conftest import IMPATIENT, assert_refused


@pytest.mark.alternating
def test_claims_are_set_shown_and_taken_back(process, manager):
    pair = manager.login("alice", claims={"role": "editor"})
    given = {"plan": "pro", "teams": ["a", {"b": None}], "name": "é\u202e\x1b"}
    told = process("claims", "set", "alice", json.dumps(given))
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith("updated 1 session")
    assert manager.verify(pair.access_token).claims == {"role": "editor", **given}
    shown = process("claims", "get", "alice").stdout
    assert json.loads(shown) == given
    assert shown.isascii()
    assert "\x1b" not in shown
    assert process("claims", "set", "alice", "{}").stdout.startswith("updated 1 session")
    assert json.loads(process("claims", "get", "alice").stdout) == {}


def test_claims_from_the_standard_input(process, manager):
    pair = manager.login("alice")
    told = process("claims", "set", "alice", "-", text_in='{"plan":\n "é"}\n')
    assert told.stdout.startswith("updated 1 session")
    assert manager.verify(pair.access_token).claims == {"plan": "é"}


def test_nothing_is_kept_of_who_is_not_logged_in(run):
    told = run("claims", "set", "nobody", '{"plan": "pro"}').stdout
    assert told == "nobody has no live session, so nothing was stored\n"
    assert json.loads(run("claims", "get", "nobody").stdout) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '"x"',
        "[" * 50_000,
        '{"a":' * 500 + "1" + "}" * 500,
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": "\\ud800"}',
        '{"sub": "root"}',
        json.dumps({"a": "x" * 2048}),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_claims_is_refused_and_changes_nothing(run, manager, text):
    manager.login("alice")
    manager.claims.set("alice", {"plan": "pro"})
    assert_refused(run("claims", "set", "alice", "-", text_in=text), saying="claim")
    assert manager.claims.get("alice") == {"plan": "pro"}


@pytest.mark.parametrize("arguments", [["set", "alice"], ["get"], ["set"]])
def test_wrong_usage_is_explained(run, arguments):
    outcome = run("claims", *arguments)
    assert (outcome.returncode, outcome.stdout) == (2, "")


@pytest.mark.parametrize("name", ["a b", "-x", "é😀", "a/b{c}%", "\u202eevil"])
def test_odd_subjects(run, manager, name):
    manager.login(name)
    assert run("claims", "set", "--", name, '{"plan": 1}').stdout.startswith("updated 1 session")
    assert json.loads(run("claims", "get", "--", name).stdout) == {"plan": 1}
    assert_refused(run("claims", "get", ""), saying="subject")


def test_without_a_confirmation_it_says_so(run, manager, url):
    manager.login("alice")
    unasked = {"CLUSTERPASS_STORE_URL": f"{url}&replica_wait=0"}
    told = run("claims", "set", "alice", '{"plan": 1}', **unasked).stdout
    assert told == "updated 1 session (not confirmed by a replica)\n"


@pytest.mark.parametrize("arguments", [["get", "alice"], ["set", "alice", '{"plan": 1}']])
def test_a_store_that_is_away_is_told_soon(run, arguments):
    began = time.monotonic()
    outcome = run("claims", *arguments, CLUSTERPASS_STORE_URL=IMPATIENT)
    assert_refused(outcome, saying="temporarily unavailable")
    assert time.monotonic() - began < 10
