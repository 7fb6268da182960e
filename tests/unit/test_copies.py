"""Values of the public verbs can be copied, pickled, and turned into dictionaries and JSON."""

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder

from clusterpass import AccessClaims, Actor, Ban, KeyRing, OnlinePage, Session
from clusterpass.model.frozen import FrozenDict, frozen

CLAIMS = {"roles": ["editor", {"of": ["a"]}], "scope": "a:b"}
SESSION = Session(
    "alice",
    "s" * 22,
    "phone",
    1,
    2,
    3,
    frozen(CLAIMS),
    act=Actor("root", "t" * 22, "help"),
    bans=(Ban("chat", 1, 5, "spam", 0),),
)
VALUES = [
    SESSION,
    Session("bob", "s" * 22, None, 1, 2, 3),
    AccessClaims("i", "alice", ("a",), 1, 2, "j", "s", FrozenDict(CLAIMS)),
    OnlinePage((SESSION,), None),
]
each = pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)


@each
@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
    ],
    ids=["copy", "deepcopy", "pickle"],
)
def test_copies_are_equal(value: Any, copied: Callable[[Any], Any]) -> None:
    assert copied(value) == value


@each
def test_values_become_dictionaries_and_json(value: Any) -> None:
    as_dict = dataclasses.asdict(value)
    assert as_dict == json.loads(json.dumps(as_dict), object_pairs_hook=_tuples_of(as_dict))
    assert json.loads(json.dumps(jsonable_encoder(value))) == json.loads(json.dumps(as_dict))


def _tuples_of(_: Any) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """JSON has no tuples: what was one is one again."""
    tuples = {"bans", "amr", "audience", "sessions"}
    return lambda pairs: {k: tuple(v) if k in tuples else v for k, v in pairs}


def test_claims_are_json_and_cannot_be_changed() -> None:
    assert json.loads(json.dumps(SESSION.claims)) == CLAIMS
    claims: Any = SESSION.claims
    with pytest.raises(TypeError):
        claims["scope"] = "all"
    with pytest.raises(TypeError):
        claims["roles"].append("admin")
    with pytest.raises(TypeError):
        claims |= {"scope": "all"}
    assert SESSION.claims == CLAIMS


def test_the_claims_of_a_deep_copy_can_be_changed() -> None:
    claims: Any = copy.deepcopy(SESSION).claims
    claims["roles"].append("admin")
    assert "admin" not in SESSION.claims["roles"]


def test_a_key_ring_is_never_copied() -> None:
    ring = KeyRing.generate()
    assert copy.copy(ring) is ring
    assert copy.deepcopy({"keys": ring})["keys"] is ring
