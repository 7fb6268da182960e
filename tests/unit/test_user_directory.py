"""The user directory over a scripted store: passwords, logins, changes and erasure."""

import asyncio
import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    ClusterPassError,
    ConfigurationError,
    Ended,
    ImpersonationRefused,
    InvalidCredentials,
    InvalidInput,
    PasswordPolicy,
    PasswordRefused,
    StoreUnavailable,
    ThrottlePolicy,
    TooManyAttempts,
    User,
    UserExists,
    UserNotFound,
)
from clusterpass.tokens.encoding import encode_base64url
from clusterpass.users.names import prepare_name
from clusterpass.users.passwords import PasswordHasher

from .user_scene import (
    ALICE,
    HASH,
    KEYSPACE,
    LIGHT,
    NOBODY,
    PAIR,
    PASSWORD,
    SESSION_ID,
    Loop,
    Scene,
    Threads,
)

OTHER_HASH = LIGHT.hash("another one").encode()
SAME_PASSWORD = LIGHT.hash(PASSWORD).encode()
TOTAL = ("count_attempt", (KEYSPACE.attempts_in_total(),), (100_000, 300))
CHECKED = ["count_attempt", "count_attempt", "user_find", "return_attempt"]


@pytest.fixture(params=[Threads, Loop])
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


def opened(face: Any, scene: Scene, **options: Any) -> Any:
    return face.directory(face.sessions(scene), hasher=LIGHT, **options)


def arguments_of(scene: Scene, script: str) -> list[Any]:
    return [asked[2] for asked in scene.asked if asked[0] == script]


def test_a_user_is_added_with_a_hash_and_an_operation_of_its_own(face: Any) -> None:
    scene = Scene()
    directory = opened(face, scene)
    for _ in range(2):
        assert face.run(directory.add("alice", PASSWORD)) is None
    assert [asked[:2] for asked in scene.asked] == [("user_add", (KEYSPACE.user("alice"),))] * 2
    (first, first_id), (second, second_id) = arguments_of(scene, "user_add")
    assert first != second, "a salt each"
    assert LIGHT.verify(first.decode(), PASSWORD)
    assert (len(first_id), len(second_id)) == (16, 16)
    assert first_id != second_id


def test_a_name_that_is_taken(face: Any) -> None:
    with pytest.raises(UserExists):
        face.run(opened(face, Scene(user_add=[b"EXISTS"])).add("alice", PASSWORD))


@pytest.mark.parametrize("verb", ["add", "set_password"])
@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("alice", "7 chars"), ("alice", "")]
)
def test_a_bad_name_or_password_is_refused_before_the_store_is_asked(
    face: Any, verb: str, name: str, password: str
) -> None:
    scene = Scene()
    with pytest.raises(InvalidInput):
        face.run(getattr(opened(face, scene), verb)(name, password))
    assert scene.asked == []


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("alice", "too short", "too_short"),
        ("alice", "123456789123456789", "too_common"),
        ("alice-and-bob", "alice-and-bob-1", "like_user_name"),
    ],
)
def test_a_chosen_password_fits_the_policy(
    face: Any, name: str, password: str, reason: str
) -> None:
    scene, session = Scene(), SimpleNamespace(subject=name, session_id=SESSION_ID, act=None)
    directory = opened(face, scene, passwords=PasswordPolicy(shortest=12))
    for act in (
        lambda: directory.add(name, password),
        lambda: directory.set_password(name, password),
        lambda: directory.change_password(session, PASSWORD, password),
    ):
        with pytest.raises(PasswordRefused) as refused:
            face.run(act())
        assert refused.value.reason == reason
    assert scene.asked == []


def test_a_password_of_before_the_policy_still_opens_sessions_and_is_rehashed(face: Any) -> None:
    old = PasswordHasher(memory_kib=16).hash("password")
    scene = Scene(user_find=[[old.encode(), b"0", 1000]])
    face.run(opened(face, scene).authenticate("alice", "password"))
    ((_, rehashed, _),) = arguments_of(scene, "user_change")
    assert LIGHT.verify(rehashed.decode(), "password")


@pytest.mark.parametrize(
    ("name", "password"), [("", PASSWORD), ("alice", ""), ("alice", "x" * 1025)]
)
def test_a_check_of_what_cannot_be_right_counts_no_attempt(
    face: Any, name: str, password: str
) -> None:
    scene = Scene()
    with pytest.raises(InvalidInput):
        face.run(opened(face, scene).authenticate(name, password))
    assert scene.asked == []


def test_a_short_password_is_checked_and_wrong(face: Any) -> None:
    with pytest.raises(InvalidCredentials):
        face.run(opened(face, Scene()).authenticate("alice", "x"))


def test_a_correct_password_is_counted_found_and_forgotten(face: Any) -> None:
    scene = Scene()
    policy = ThrottlePolicy(
        account_attempts=3, account_window=40, address_attempts=50, address_window=60
    )
    directory = opened(face, scene, throttle=policy)
    assert face.run(directory.authenticate("alice", PASSWORD, address="10.0.0.1")) is None
    account = (KEYSPACE.attempts_by_account("alice"),)
    assert scene.asked == [
        ("count_attempt", (KEYSPACE.attempts_by_address("10.0.0.1"),), (50, 60)),
        TOTAL,
        ("count_attempt", account, (3, 40)),
        ("user_find", (KEYSPACE.user("alice"),), ()),
        ("return_attempt", account, ()),
    ]


def test_the_limits_of_a_directory_that_is_given_none(face: Any) -> None:
    scene = Scene()
    face.run(opened(face, scene).authenticate("alice", PASSWORD, address="10.0.0.1"))
    assert arguments_of(scene, "count_attempt") == [(100, 300), (100_000, 300), (10, 300)]


@pytest.mark.parametrize(
    ("entry", "password"),
    [(ALICE, "wrong"), (NOBODY, PASSWORD), ([HASH.encode(), b"1", 1000], PASSWORD)],
    ids=["wrong", "unknown", "disabled"],
)
def test_a_wrong_password_an_unknown_and_a_disabled_user_take_the_same_steps(
    face: Any, entry: list[Any], password: str
) -> None:
    scene = Scene(user_find=[entry])
    with pytest.raises(InvalidCredentials):
        face.run(opened(face, scene).authenticate("alice", password))
    assert scene.scripts() == ["count_attempt", "count_attempt", "user_find"]


def test_too_many_attempts_end_before_the_password_is_read(face: Any) -> None:
    scene = Scene(count_attempt=[0, 0, 17])
    with pytest.raises(TooManyAttempts) as refused:
        face.run(opened(face, scene).authenticate("alice", PASSWORD, address="10.0.0.1"))
    assert refused.value.retry_after == 17
    assert scene.scripts() == ["count_attempt"] * 3


def test_a_blocked_address_uses_up_no_attempt_of_the_account(face: Any) -> None:
    scene = Scene(count_attempt=[5])
    with pytest.raises(TooManyAttempts):
        face.run(opened(face, scene).authenticate("alice", PASSWORD, address="10.0.0.1"))
    assert len(scene.asked) == 1


def test_a_hash_with_other_parameters_is_replaced_unless_it_has_changed(face: Any) -> None:
    old = PasswordHasher(memory_kib=16).hash(PASSWORD).encode()
    scene = Scene(user_find=[[old, b"0", 1000]], user_change=[b"CHANGED"])
    face.run(opened(face, scene).authenticate("alice", PASSWORD))
    assert scene.scripts() == [*CHECKED, "user_change"]
    ((field, value, expected),) = arguments_of(scene, "user_change")
    assert (field, expected) == (b"password", old)
    assert "m=8," in value.decode()
    assert LIGHT.verify(value.decode(), PASSWORD)


def test_a_login_opens_a_session_on_the_proof(face: Any) -> None:
    scene = Scene()
    login = opened(face, scene).login("alice", PASSWORD, address="10.0.0.1", device="phone")
    assert face.run(login) is PAIR
    options = {"address": "10.0.0.1", "device": "phone", "amr": ("pwd",), "generation": 7}
    assert scene.scripts() == ["generation", "count_attempt", *CHECKED, "login", "user_find"]
    assert scene.asked[0] == ("generation", ("alice",), {})
    assert scene.asked[1][1] == (KEYSPACE.attempts_by_address("10.0.0.1"),)
    assert scene.asked[-2] == ("login", ("alice",), options)


@pytest.mark.parametrize(
    ("replies", "error"),
    [({}, InvalidCredentials), ({"count_attempt": [17]}, TooManyAttempts)],
)
def test_a_login_that_is_refused_is_noted_with_its_address(
    face: Any, replies: Any, error: type[ClusterPassError]
) -> None:
    scene = Scene(**replies)
    with pytest.raises(error):
        face.run(opened(face, scene).login("alice", "wrong", address="10.0.0.1"))
    about = {"error": error.code, "address": "10.0.0.1"}
    assert scene.asked[-1] == ("login_failed", ("alice",), about)
    assert "login" not in scene.scripts()


def test_a_login_without_an_address_counts_none(face: Any) -> None:
    scene = Scene()
    face.run(opened(face, scene).login("alice", PASSWORD))
    assert scene.scripts() == ["generation", *CHECKED, "login", "user_find"]


@pytest.mark.parametrize(
    "entry",
    [NOBODY, [HASH.encode(), b"1", 1000], [OTHER_HASH, b"0", 1000], [SAME_PASSWORD, b"1", 1000]],
    ids=["gone", "disabled", "changed", "rehashed and disabled"],
)
def test_a_login_that_was_overtaken_ends_its_session(face: Any, entry: list[Any]) -> None:
    scene = Scene(user_find=[ALICE, entry])
    with pytest.raises(InvalidCredentials):
        face.run(opened(face, scene).login("alice", PASSWORD))
    assert scene.asked[-1] == ("revoke", ("alice", SESSION_ID), {})


def test_a_login_stands_when_another_one_has_rehashed_the_password(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [SAME_PASSWORD, b"0", 1000]])
    assert face.run(opened(face, scene).login("alice", PASSWORD)) is PAIR
    assert "revoke" not in scene.scripts()


def test_a_new_password_ends_all_sessions(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).set_password("alice", "a new password")) == "ended"
    assert scene.scripts() == ["user_change", "revoke_all"]
    ((field, value, expected),) = arguments_of(scene, "user_change")
    assert (field, expected) == (b"password", b"")
    assert LIGHT.verify(value.decode(), "a new password")
    assert scene.asked[0][1] == (KEYSPACE.user("alice"),)
    assert scene.asked[1] == ("revoke_all", ("alice",), {})


def test_disabling_ends_all_sessions_and_enabling_ends_none(face: Any) -> None:
    scene = Scene()
    directory = opened(face, scene)
    assert face.run(directory.disable("alice")) == "ended"
    assert face.run(directory.enable("alice")) is None
    key = (KEYSPACE.user("alice"),)
    assert scene.asked == [
        ("user_change", key, (b"disabled", b"1", b"")),
        ("revoke_all", ("alice",), {}),
        ("user_change", key, (b"disabled", b"0", b"")),
    ]


@pytest.mark.parametrize(
    ("verb", "more"), [("set_password", (PASSWORD,)), ("disable", ()), ("enable", ())]
)
def test_a_change_of_nobody(face: Any, verb: str, more: tuple[str, ...]) -> None:
    scene = Scene(user_change=[b"UNKNOWN"])
    with pytest.raises(UserNotFound):
        face.run(getattr(opened(face, scene), verb)("alice", *more))
    assert scene.scripts() == ["user_change"]
    with pytest.raises(InvalidInput):
        face.run(getattr(opened(face, scene), verb)("", *more))
    assert scene.scripts() == ["user_change"]


def test_the_list_is_sorted_and_has_each_user_once_and_nobody_who_is_gone(face: Any) -> None:
    scene = Scene(user_find=[ALICE, NOBODY, [HASH.encode(), b"1", 2000]])
    scene.keys = [KEYSPACE.user(name) for name in ("zoë", "bob", "alice", "bob")]
    scene.keys += [b"app:{x}:other", b"other:{x}:user", "app:{ü}:user".encode()]
    assert face.run(opened(face, scene).list()) == [
        User("alice", disabled=False, created_at=1000),
        User("zoë", disabled=True, created_at=2000),
    ]
    assert scene.asked[0] == ("scan", ("app:{*}:user",), {})
    assert [asked[1] for asked in scene.asked[1:]] == [
        (KEYSPACE.user(name),) for name in ("alice", "bob", "zoë")
    ]


def test_a_name_in_a_key_that_is_no_text_is_no_name(face: Any) -> None:
    scene = Scene()
    scene.keys = [b"app:{%ff}:user"]
    assert face.run(opened(face, scene).list()) == []


def test_a_closed_directory_hashes_nothing(face: Any) -> None:
    scene = Scene()
    directory = opened(face, scene)
    face.run(directory.close())
    with pytest.raises(ClusterPassError, match="closed"):
        face.run(directory.add("alice", PASSWORD))
    assert scene.asked == []


@pytest.mark.parametrize("verb", ["add", "set_password"])
def test_a_bad_password_is_refused_before_it_waits_for_the_hasher(face: Any, verb: str) -> None:
    directory = opened(face, Scene())
    face.run(directory.close())
    with pytest.raises(InvalidInput):
        face.run(getattr(directory, verb)("alice", "7 chars"))


def test_a_block_closes_its_directory() -> None:
    with opened(Threads(), Scene()) as directory:
        directory.add("alice", PASSWORD)
    with pytest.raises(ClusterPassError, match="closed"):
        directory.add("alice", PASSWORD)


def test_an_asynchronous_block_closes_its_directory() -> None:
    async def run() -> None:
        async with opened(Loop(), Scene()) as directory:
            await directory.add("alice", PASSWORD)
        with pytest.raises(ClusterPassError, match="closed"):
            await directory.add("alice", PASSWORD)

    Loop().run(run())


def test_hashing_is_counted_with_the_manager_s_other_numbers(face: Any) -> None:
    sessions = face.sessions(Scene())
    face.run(face.directory(sessions, hasher=LIGHT).add("alice", PASSWORD))
    assert sum(sessions.counters.hashing.worked.counts) == 1


@pytest.mark.parametrize("options", [{"hash_concurrency": 65}, {"most_waiting": 10_001}])
def test_the_limits_of_hashing_are_passed_on(face: Any, options: dict[str, int]) -> None:
    more = {"hash_concurrency": 1} | options
    with pytest.raises(ConfigurationError, match="hash_concurrency must be 1 to 64"):
        opened(face, Scene(), **more)


def test_a_throttle_alone_counts_as_the_directory_does(face: Any) -> None:
    scene = Scene()
    throttle = face.throttle(face.sessions(scene), ThrottlePolicy(account_attempts=4))
    assert face.run(throttle.admit("alice", address="10.0.0.1")) is None
    assert face.run(throttle.forget("alice")) is None
    account = (KEYSPACE.attempts_by_account("alice"),)
    assert scene.asked == [
        ("count_attempt", (KEYSPACE.attempts_by_address("10.0.0.1"),), (100, 300)),
        TOTAL,
        ("count_attempt", account, (4, 300)),
        ("return_attempt", account, ()),
    ]
    for verb in (throttle.admit, throttle.forget):
        with pytest.raises(InvalidInput):
            face.run(verb(""))
    face.run(face.throttle(face.sessions(scene)).admit("alice"))
    assert scene.asked[4:] == [TOTAL, ("count_attempt", account, (10, 300))]


def test_refusals_are_counted_with_the_manager_s_other_numbers(face: Any) -> None:
    scene = Scene(count_attempt=[0, 17])
    sessions = face.sessions(scene)
    with pytest.raises(TooManyAttempts):
        face.run(face.throttle(sessions).admit("alice"))
    assert sessions.counters.throttled == {"account": 1}
    with pytest.raises(TooManyAttempts):
        face.run(face.directory(sessions, hasher=LIGHT).authenticate("alice", PASSWORD))
    assert sessions.counters.throttled == {"account": 1, "total": 1}


def test_who_is_known_is_counted_and_forgotten_there(face: Any) -> None:
    scene = Scene()
    throttle = face.throttle(face.sessions(scene))
    face.run(throttle.admit("alice", address="10.0.0.1", known="phone"))
    face.run(throttle.forget("alice", known="phone"))
    face.run(opened(face, scene).authenticate("alice", PASSWORD, known="phone"))
    face.run(opened(face, scene).login("alice", PASSWORD, address="10.0.0.1", known="phone"))
    (own,), (together,) = scene.asked[0][1], scene.asked[1][1]
    assert own.startswith(b"app:attempts-known:")
    counted = [asked[:2] for asked in scene.asked if "attempt" in asked[0]]
    assert (
        counted
        == [
            ("count_attempt", (own,)),
            ("count_attempt", (together,)),
            ("forget_attempts", (own,)),
            ("return_attempt", (together,)),
        ]
        * 3
    )


@pytest.mark.parametrize("name", ["account_attempts", "address_window"])
def test_limits_are_given_by_name_and_stay(name: str) -> None:
    policy = ThrottlePolicy(**{name: 5})
    with pytest.raises(TypeError, match="positional"):
        ThrottlePolicy(*[5])
    for changed in (name, "another"):
        with pytest.raises((dataclasses.FrozenInstanceError, TypeError, AttributeError)):
            setattr(policy, changed, 6)
    assert getattr(policy, name) == 5
    assert not hasattr(policy, "__dict__")


def test_a_user_is_added_in_composed_letters(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    face.run(opened(face, scene).add("Zo\u0308e", PASSWORD))
    assert scene.asked[-1][:2] == ("user_add", (KEYSPACE.user("Z\u00f6e"),))


def test_a_name_that_an_earlier_release_kept_is_taken(face: Any) -> None:
    scene = Scene(user_find=[ALICE])
    with pytest.raises(UserExists):
        face.run(opened(face, scene).add("A\u0308lice", PASSWORD))
    assert scene.asked == 2 * [("user_find", (KEYSPACE.user("A\u0308lice"),), ())]


@pytest.mark.parametrize(
    ("found", "name"),
    [([NOBODY, ALICE, ALICE], "\u00c4lice"), ([ALICE, ALICE, ALICE], "A\u0308lice")],
)
def test_a_login_is_of_the_name_that_is_kept(face: Any, found: list[Any], name: str) -> None:
    scene = Scene(user_find=list(found))
    assert face.run(opened(face, scene).login("A\u0308lice", PASSWORD)) is PAIR
    asked = {verb: rest for verb, *rest in scene.asked}
    assert asked["login"][0] == asked["generation"][0] == (name,)
    finds = [keys for script, keys, _ in scene.asked if script == "user_find"]
    assert finds == [(KEYSPACE.user(each),) for each in ("A\u0308lice", name, name)]


def test_a_name_in_its_form_is_not_looked_up_first(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).name_of("\u00c4lice")) == "\u00c4lice"
    assert scene.asked == []


@pytest.mark.parametrize("verb", ["disable", "set_password"])
def test_what_ends_sessions_ends_those_of_the_name_that_is_kept(face: Any, verb: str) -> None:
    scene = Scene(user_find=[NOBODY])
    more = ("a new password",) if verb == "set_password" else ()
    face.run(getattr(opened(face, scene), verb)("A\u0308lice", *more))
    assert scene.asked[-2][:2] == ("user_change", (KEYSPACE.user("\u00c4lice"),))
    assert scene.asked[-1] == ("revoke_all", ("\u00c4lice",), {})


def test_only_the_exact_name_is_authenticated(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    with pytest.raises(InvalidCredentials):
        face.run(opened(face, scene).authenticate("A\u0308lice", PASSWORD))
    finds = [keys for script, keys, _ in scene.asked if script == "user_find"]
    assert finds == [(KEYSPACE.user("A\u0308lice"),)]


def test_a_hash_of_the_password_as_it_was_typed_is_made_again(face: Any) -> None:
    typed = "correct ho\u0308rse"
    known = LIGHT._hasher.hash(typed.encode()).encode()
    scene = Scene(user_find=[[known, b"0", 1000]])
    face.run(opened(face, scene).authenticate("alice", typed))
    ((field, value, expected),) = arguments_of(scene, "user_change")
    assert (field, expected) == (b"password", known)
    assert LIGHT.verify(value.decode(), "correct h\u00f6rse")
    assert not LIGHT.is_as_typed(value.decode(), typed)


def test_a_hash_of_the_prepared_password_is_left_alone(face: Any) -> None:
    known = LIGHT.hash("correct h\u00f6rse").encode()
    for typed in ("correct h\u00f6rse", "correct ho\u0308rse"):
        scene = Scene(user_find=[[known, b"0", 1000]])
        face.run(opened(face, scene).authenticate("alice", typed))
        assert "user_change" not in scene.scripts()


@pytest.mark.parametrize(
    ("spelt", "kept"),
    [
        ("alice", "alice"),
        ("Alice@Example.COM", "Alice@Example.COM"),
        ("Zo\u0308e \u00d6zil", "Z\u00f6e \u00d6zil"),
        ("\uff21\uff4cice", "Alice"),
        ("\U0001f600 Alice", "\U0001f600 Alice"),  # the profile forbids it
        ("\u00d6  x", "\u00d6  x"),
        ("{A}", "{A}"),
    ],
)
def test_the_form_of_a_name(spelt: str, kept: str) -> None:
    assert prepare_name(spelt) == kept
    assert prepare_name(kept) == kept


SESSION = SimpleNamespace(subject="alice", session_id=SESSION_ID, act=None)
NEW = "battery staple"


def change(face: Any, scene: Scene, current: str = PASSWORD, new: str = NEW, **options: Any) -> Any:
    return face.run(opened(face, scene).change_password(SESSION, current, new, **options))


def test_a_user_changes_the_password_and_goes_on_with_new_tokens(face: Any) -> None:
    scene = Scene()
    assert change(face, scene, address="10.0.0.1", for_seconds=40) is PAIR
    counted, given_back = ["count_attempt", "count_attempt"], ["forget_attempts", "return_attempt"]
    steps = [*counted, "user_find", "user_change", *given_back, "revoke_all", "elevate"]
    assert scene.scripts() == steps
    asked = {step[0]: step[1:] for step in reversed(scene.asked)}
    known = asked["count_attempt"][0]
    assert known == asked["forget_attempts"][0] != (KEYSPACE.attempts_by_account("alice"),)
    (field, new_hash, expected) = asked["user_change"][1]
    assert (field, expected) == (b"password", HASH.encode())
    assert LIGHT.verify(new_hash.decode(), NEW)
    assert asked["revoke_all"] == (("alice",), {"keep": SESSION_ID})
    options = {"for_seconds": 40, "amr": ("pwd",), "address": "10.0.0.1", "password_changed": True}
    assert asked["elevate"] == ((SESSION, "1"), options)


def test_other_sessions_go_on_where_the_user_says_so(face: Any) -> None:
    scene = Scene()
    change(face, scene, end_others=False)
    assert scene.scripts()[-3:] == ["forget_attempts", "return_attempt", "elevate"]


@pytest.mark.parametrize("found", [ALICE, NOBODY, [HASH.encode(), b"1", 1000]])
def test_a_wrong_current_password_changes_nothing_and_stays_counted(face: Any, found: Any) -> None:
    scene = Scene(user_find=[found])
    with pytest.raises(InvalidCredentials):
        change(face, scene, "wrong" if found is ALICE else PASSWORD)
    assert scene.scripts() == ["count_attempt", "count_attempt", "user_find"]


def test_a_bad_new_password_is_no_attempt(face: Any) -> None:
    scene = Scene()
    with pytest.raises(InvalidInput):
        change(face, scene, new="7 chars")
    assert scene.asked == []


def test_no_attempt_is_left(face: Any) -> None:
    scene = Scene(count_attempt=[17])
    with pytest.raises(TooManyAttempts):
        change(face, scene)
    assert scene.scripts() == ["count_attempt"]


def test_a_hash_that_a_login_replaced_meanwhile_is_tried_again(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [SAME_PASSWORD, b"0", 1000]], user_change=[b"CHANGED", b"OK"])
    assert change(face, scene) is PAIR
    first, second = arguments_of(scene, "user_change")
    assert (first[1], second[2]) == (second[1], SAME_PASSWORD)


def test_another_password_meanwhile_wins(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [OTHER_HASH, b"0", 1000]], user_change=[b"CHANGED"])
    with pytest.raises(InvalidCredentials):
        change(face, scene)
    assert "elevate" not in scene.scripts()


def test_an_entry_that_never_rests(face: Any) -> None:
    scene = Scene(user_change=[b"CHANGED"])
    with pytest.raises(InvalidCredentials):
        change(face, scene)
    assert scene.scripts().count("user_change") == 5


def test_an_impersonation_changes_no_password(face: Any) -> None:
    scene, acting = Scene(), SimpleNamespace(**vars(SESSION) | {"act": "root"})
    with pytest.raises(ImpersonationRefused):
        face.run(opened(face, scene).change_password(acting, PASSWORD, NEW))
    assert scene.asked == []


def test_a_user_is_disabled_logged_out_and_removed(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).delete("alice")) == "ended"
    assert scene.scripts() == ["user_find", "user_change", "revoke_all", "user_remove"]
    assert scene.asked[1][2] == (b"disabled", b"1", b"")
    assert scene.asked[-1][1:] == ((KEYSPACE.user("alice"),), (1000,))


def test_a_user_who_is_erased(face: Any) -> None:
    scene = Scene()
    assert face.run(opened(face, scene).delete("alice", erase=True)) == "erased"
    assert scene.scripts() == ["user_find", "user_change", "erase", "user_remove"]


def test_nobody_is_deleted(face: Any) -> None:
    scene = Scene(user_find=[NOBODY])
    with pytest.raises(UserNotFound):
        face.run(opened(face, scene).delete("alice"))
    assert scene.scripts() == ["user_find"]


def test_a_user_whom_another_administrator_removed_meanwhile(face: Any) -> None:
    scene = Scene(user_find=[ALICE, [HASH.encode(), b"0", 2000]], user_remove=[0])
    assert face.run(opened(face, scene).delete("alice")) == "ended"
    assert scene.asked[-1][2] == (1000,)  # not the user who was added under that name since
    scene = Scene(user_change=[b"UNKNOWN"])
    with pytest.raises(UserNotFound):
        face.run(opened(face, scene).delete("alice"))


CHANGES = {
    "set_password": ("user_change", ("alice", NEW)),
    "disable": ("user_change", ("alice",)),
    "use_link": ("link_use", ("cpl_YWxpY2U." + "A" * 43, NEW)),
    "change_password": ("user_change", (SESSION, PASSWORD, NEW)),
}


@pytest.mark.parametrize("lost", ["answer", "caller"])
@pytest.mark.parametrize("verb", [*CHANGES, "delete"])
def test_a_change_that_may_have_been_made_ends_the_sessions(
    face: Any, verb: str, lost: str
) -> None:
    """Who repeats it is refused: the link is over, the password another one."""
    gone = asyncio.CancelledError if isinstance(face, Loop) else KeyboardInterrupt
    error = StoreUnavailable if lost == "answer" else gone
    script, given = CHANGES.get(verb, ("user_change", ("alice",)))
    scene = Scene(**{script: [error()]})
    with pytest.raises(error):
        face.run(getattr(opened(face, scene), verb)(*given))
    keep = {"keep": SESSION_ID} if verb == "change_password" else {}
    assert scene.asked[-1] == ("revoke_all", ("alice",), keep)


@pytest.mark.parametrize(
    ("verb", "asked"), [("use_link", "link_find"), ("change_password", "count_attempt")]
)
def test_a_change_that_was_not_asked_for_ends_nothing(face: Any, verb: str, asked: str) -> None:
    scene = Scene(**{asked: [StoreUnavailable()]})
    with pytest.raises(StoreUnavailable):
        face.run(getattr(opened(face, scene), verb)(*CHANGES[verb][1]))
    assert scene.scripts() == [asked]


async def test_the_end_of_the_sessions_does_not_depend_on_who_waits_for_it() -> None:
    begun, go_on, is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sessions = Loop().sessions(Scene())

    async def slow(*_: Any, **__: Any) -> str:
        begun.set()
        await go_on.wait()
        is_over.set()
        return "ended"

    sessions.revoke_all = slow
    disabling = asyncio.create_task(Loop.directory(sessions, hasher=LIGHT).disable("alice"))
    await begun.wait()
    disabling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await disabling
    go_on.set()
    async with asyncio.timeout(20):
        await is_over.wait()


@pytest.mark.parametrize("verb", ["set_password", "disable", "use_link", "delete"])
def test_an_end_is_as_durable_as_the_change_that_it_is_for(face: Any, verb: str) -> None:
    given = CHANGES[verb][1] if verb in CHANGES else ("alice",)
    for is_durable in (True, False):
        scene = Scene()
        scene.ended, scene.is_durable = Ended(1, durable=True, journaled=True), is_durable
        ended = face.run(getattr(opened(face, scene), verb)(*given))
        assert ended == Ended(1, durable=is_durable, journaled=True)


def test_a_link_lives_for_an_hour_and_an_invitation_for_three_days(face: Any) -> None:
    scene = Scene()
    directory = opened(face, scene)
    links = [face.run(directory.make_link("alice")), face.run(directory.invite("bob"))]
    for seconds in (60, 14 * 86_400):
        links.append(face.run(directory.make_link("alice", for_seconds=seconds)))
        links.append(face.run(directory.invite("bob", for_seconds=seconds)))
    made = arguments_of(scene, "link_make")
    assert [seconds for *_, seconds in made] == [3600, 259_200, 60, 60, 1_209_600, 1_209_600]
    assert len({digest for digest, *_ in made}) == len({link.token for link in links}) == 6
    assert {(link.username, link.expires_at) for link in links} == {("alice", 5000), ("bob", 5000)}
    asked = len(scene.asked)
    for seconds in (59, 1_209_601):
        for verb in (directory.make_link, directory.invite):
            with pytest.raises(InvalidInput, match="for_seconds"):
                face.run(verb("carol", for_seconds=seconds))
    assert len(scene.asked) == asked, "not even an invited user is added"


@pytest.mark.parametrize(
    ("found", "user"),
    [(ALICE, {"name": "alice", "disabled": False, "created_at": 1000}), (NOBODY, None)],
)
def test_an_export_has_the_user_and_no_hash(face: Any, found: Any, user: Any) -> None:
    exported = face.run(opened(face, Scene(user_find=[found])).export("alice"))
    assert exported == {"user": user, "subject": "alice"}


ALICES_LINK = "cpl_" + encode_base64url(b"alice") + "." + encode_base64url(b"s" * 32)


class Trail:
    """An audit trail that keeps what it is told."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def note_result(self, action: str, result: Any, about: Any) -> Any:
        self.noted.append((action, "done", about))
        yield from ()

    def note_error(self, action: str, error: ClusterPassError, about: Any) -> Any:
        self.noted.append((action, error.code, about))
        yield from ()

    def note_end(self, action: str, about: Any) -> None:
        self.noted.append((action, "unknown", about))


OF_ALICE = {"subject": "alice"}
BY_ALICE = {"subject": "alice", "actor": "alice"}
IN_SESSION = {**BY_ALICE, "session_id": SESSION_ID, "address": "10.0.0.1"}


@pytest.mark.parametrize(
    ("act", "done", "about", "error"),
    [
        (lambda each: each.add("alice", PASSWORD), ["add_user"], OF_ALICE, "user_exists"),
        (
            lambda each: each.set_password("alice", NEW),
            ["set_password"],
            OF_ALICE,
            "user_not_found",
        ),
        (lambda each: each.disable("alice"), ["disable_user"], OF_ALICE, "user_not_found"),
        (lambda each: each.enable("alice"), ["enable_user"], OF_ALICE, "user_not_found"),
        (
            lambda each: each.delete("alice"),
            ["disable_user", "delete_user"],
            OF_ALICE,
            "user_not_found",
        ),
        (lambda each: each.invite("alice"), ["invite_user"], OF_ALICE, "user_exists"),
        (lambda each: each.make_link("alice"), ["make_link"], OF_ALICE, "user_not_found"),
        (lambda each: each.use_link(ALICES_LINK, NEW), ["use_link"], BY_ALICE, None),
        (
            lambda each: each.authenticate("alice", PASSWORD, address="10.0.0.1"),
            [],
            {**OF_ALICE, "address": "10.0.0.1"},
            "invalid_credentials",
        ),
        (
            lambda each: each.change_password(SESSION, PASSWORD, NEW, address="10.0.0.1"),
            ["change_password"],
            IN_SESSION,
            "invalid_credentials",
        ),
        (
            lambda each: each.change_password(
                SESSION, PASSWORD, NEW, address="10.0.0.1", end_others=False
            ),
            ["change_password"],
            IN_SESSION,
            "invalid_credentials",
        ),
    ],
)
def test_what_is_done_and_what_fails_is_in_the_trail(
    face: Any, act: Any, done: list[str], about: dict[str, Any], error: str | None
) -> None:
    sessions, trail = face.sessions(Scene()), Trail()
    sessions.audit.trail = trail
    face.run(act(face.directory(sessions, hasher=LIGHT)))
    assert trail.noted == [(action, "done", about) for action in done]
    nobody = Scene(
        user_find=[NOBODY],
        user_add=[b"EXISTS"],
        user_change=[b"UNKNOWN"],
        link_make=[[b"UNKNOWN", 0]],
        link_use=[0],
    )
    sessions, trail = face.sessions(nobody), Trail()
    sessions.audit.trail = trail
    with pytest.raises(ClusterPassError) as refused:
        face.run(act(face.directory(sessions, hasher=LIGHT)))
    first = (done or ["authenticate"])[0]
    assert trail.noted == ([] if error is None else [(first, error, about)])
    assert error in {None, refused.value.code}


class Gone(BaseException):
    """Raised where the caller no longer waits for the result."""


def test_a_change_that_nobody_waits_for_is_in_the_trail_at_once(face: Any) -> None:
    sessions, trail = face.sessions(Scene(user_change=[Gone()])), Trail()
    sessions.audit.trail = trail
    with pytest.raises(Gone) as gone:
        face.run(face.directory(sessions, hasher=LIGHT).enable("alice"))
    assert trail.noted == [("enable_user", "unknown", OF_ALICE)]
    assert gone.traceback, "with which what was begun is not collected yet"
