"""The user directory over a scripted store: passwords, logins, changes and erasure."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from clusterpass import (
    ClusterPassError,
    ConfigurationError,
    InvalidCredentials,
    InvalidInput,
    PasswordPolicy,
    PasswordRefused,
    ThrottlePolicy,
    TooManyAttempts,
    User,
    UserExists,
)
from clusterpass.users.passwords import PasswordHasher

from .user_scene import (
    ALICE,
    FACES,
    HASH,
    KEYSPACE,
    LIGHT,
    NOBODY,
    OTHER_HASH,
    PAIR,
    PASSWORD,
    SAME_PASSWORD,
    SESSION_ID,
    Loop,
    Scene,
    Threads,
    arguments_of,
    opened,
)

TOTAL = ("count_attempt", (KEYSPACE.attempts_in_total(),), (100_000, 300))
CHECKED = ["count_attempt", "count_attempt", "user_find", "return_attempt"]


@pytest.fixture(params=FACES)
def face(request: pytest.FixtureRequest) -> Any:
    return request.param()


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
