"""Servers of the release before and of this one work on one store, and nobody is logged out."""

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.protocol.keyspace import Keyspace

from .conftest import Refused, await_refusal, refused

pytestmark = pytest.mark.timeout(240)
BESIDE: dict[str, dict[str, str]] = {"previous": {}, "today": {"compatibility": "previous"}}


def test_the_old_server_runs_the_old_code(old, new, previous_code):
    assert Path(old.home()).is_relative_to(previous_code)
    assert not Path(new.home()).is_relative_to(previous_code)


def test_a_login_counts_on_the_other_server(pair, subject):
    here, there = pair
    tokens = here.login(subject, device="Laptop", claims={"role": "editor"})
    for mode in ("cached", "strict", "stateless"):
        assert there.verify(tokens["access"], mode)["subject"] == subject
    assert there.claims(tokens["access"]) == {"role": "editor"}
    assert [each["id"] for each in there.sessions(subject)] == [tokens["id"]]
    assert there.history(subject) == here.history(subject) == ["login"]


def test_refresh_tokens_go_to_and_fro(pair, subject):
    here, there = pair
    tokens = here.login(subject)
    for number in range(6):
        server = (there, here)[number % 2]
        tokens = server.refresh(tokens["refresh"])
        for each in pair:
            assert each.verify(tokens["access"], "strict")["id"] == tokens["id"]
    assert len(there.sessions(subject)) == 1


def test_a_lost_answer_is_given_again_by_the_other_server(pair, subject):
    here, there = pair
    tokens = here.login(subject)
    first = here.refresh(tokens["refresh"])
    again = there.refresh(tokens["refresh"])
    assert again["refresh"] == first["refresh"]
    followed = there.refresh(again["refresh"])
    # Two exchanges back, within the grace: the client has not heard of the second one either.
    assert here.refresh(tokens["refresh"])["id"] == tokens["id"]
    for each in pair:
        assert each.verify(followed["access"], "strict")["id"] == tokens["id"]


def test_a_stolen_refresh_token_is_noticed_across_releases(start, subject):
    """Without a grace, the second use of a token ends the session, wherever it is presented."""
    old = start("previous", refresh_grace=0)
    new = start("today", compatibility="previous", refresh_grace=0)
    for here, there in ((old, new), (new, old)):
        tokens = here.login(subject)
        newer = here.refresh(tokens["refresh"])
        with pytest.raises(Refused) as caught:
            there.refresh(tokens["refresh"])
        assert caught.value.error == "RefreshTokenReused"
        for each in (here, there):
            assert refused(each.verify, newer["access"], "strict") == "SessionRevoked"


@pytest.mark.parametrize("way", ["logout", "logout_refresh", "revoke", "revoke_all", "ban"])
def test_an_end_is_heard_of_by_the_memory_of_the_other_server(pair, subject, way):
    here, there = pair
    tokens = here.login(subject)
    assert there.verify(tokens["access"])["subject"] == subject  # now in its memory
    calls = {
        "logout": lambda: here.logout(tokens["access"]),
        "logout_refresh": lambda: here.logout(tokens["refresh"]),
        "revoke": lambda: here.revoke(subject, tokens["id"]),
        "revoke_all": lambda: here.revoke_all(subject),
        "ban": lambda: here.ban(subject, "spam"),
    }
    calls[way]()
    await_refusal(there, tokens["access"])
    assert refused(there.refresh, tokens["refresh"]) == "InvalidRefreshToken"
    assert there.sessions(subject) == []
    assert there.history(subject) == here.history(subject)
    if way == "ban":
        assert there.bans(subject) == ["spam"]
        assert refused(there.login, subject) == "SubjectBanned"
        there.lift(subject)
        assert here.login(subject)


def test_an_end_of_everything_is_heard_of(start, subject):
    namespace = f"everything-{subject}"
    old = start("previous", namespace=namespace)
    new = start("today", namespace=namespace, compatibility="previous")
    for here, there in ((old, new), (new, old)):
        tokens = [each.login(subject) for each in (here, there)]
        for each in tokens:
            assert there.verify(each["access"])["subject"] == subject
        here.revoke_before()
        for each in tokens:
            await_refusal(there, each["access"])
            assert refused(there.refresh, each["refresh"]) == "InvalidRefreshToken"
        # A cutoff has no fractions of a second: the next login is after it.
        wait_for_the_next_second()


def wait_for_the_next_second() -> None:
    begin = int(time.time())
    while int(time.time()) == begin:
        time.sleep(0.01)


def test_live_claims_reach_the_other_server(pair, subject):
    here, there = pair
    tokens = here.login(subject, claims={"plan": "free"})
    assert there.claims(tokens["access"]) == {"plan": "free"}
    assert here.set_claims(subject, {"plan": "gold"}) == 1
    give_up_at = time.monotonic() + 10
    while there.claims(tokens["access"]) != {"plan": "gold"}:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_step_up_counts_on_the_other_server_and_spares_older_tokens(pair, subject):
    here, there = pair
    tokens = here.login(subject)
    raised = here.elevate(tokens["access"], "2", amr=["otp"])
    assert there.verify(raised["access"], "strict")["acr"] == "2"
    assert there.verify(tokens["access"], "strict")["acr"] == "1"
    # Both lines of refresh tokens go on, as the client may not have received the answer.
    raised = there.refresh(raised["refresh"])
    older = here.refresh(tokens["refresh"])
    for each in pair:
        assert each.verify(older["access"], "strict")["acr"] == "1"
        assert each.verify(raised["access"], "strict")["acr"] == "2"


def test_a_note_of_use_is_read_by_both(start, cluster, subject):
    """The release before knows notes of four bytes, and takes longer ones for later ones."""
    old = start("previous", activity_interval=1)
    new = start("today", compatibility="previous", activity_interval=1)
    tokens = new.refresh(new.login(subject)["refresh"])
    give_up_at = time.monotonic() + 20
    while not notes_of(cluster, subject):
        new.verify(tokens["access"], "strict")
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    assert {len(each) for each in notes_of(cluster, subject).values()} == {4}
    (seen_by_old,), (seen_by_new,) = old.sessions(subject), new.sessions(subject)
    assert seen_by_old["expires_at"] == seen_by_new["expires_at"]
    assert seen_by_old["active_at"] == seen_by_new["active_at"] <= time.time() + 1


def notes_of(cluster: EmbeddedCluster, subject: str) -> dict[bytes, bytes]:
    key = Keyspace().keys_of(subject).activity
    with cluster.client(cluster.primary_of(key)) as client:
        return client.hgetall(key)


def test_events_are_told_by_their_names_on_both(start, subject):
    old, new = start("previous"), start("today", compatibility="previous")
    tokens = new.login(subject)
    new.elevate(tokens["access"], "2", password_changed=True)
    assert old.history(subject) == new.history(subject)
    assert set(old.history(subject)) == {"login", "elevated"}


def test_a_repeated_operation_is_one_on_both(pair, subject):
    """A client whose answer was lost repeats its request, and the balancer asks the other one."""
    here, there = pair
    operation = f"{random.randrange(1, 2**64):016x}"
    for _ in range(2):
        here.login(subject)
    first = here.end_by_operation(subject, operation)
    later = there.login(subject)
    assert there.end_by_operation(subject, operation) == first
    assert first == 2
    assert there.verify(later["access"], "strict")["id"] == later["id"], "it came after"


def test_listeners_hear_of_the_other_server(start, pair, subject):
    here, there = pair
    there.listen()
    give_up_at = time.monotonic() + 30
    while not there.heard(subject):  # the listener has begun once it hears of a login
        here.login(subject)
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    tokens = here.login(subject)
    here.logout(tokens["access"])
    while "logged_out" not in there.heard(subject):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_users_and_passwords_are_those_of_both(pair, subject):
    here, there = pair
    here.add_user(subject, "correct horse battery")
    tokens = there.log_in(subject, "correct horse battery")
    there.set_password(subject, "staple of another kind")
    await_refusal(here, tokens["access"])
    assert refused(here.log_in, subject, "correct horse battery") == "InvalidCredentials"
    tokens = here.log_in(subject, "staple of another kind")
    there.disable(subject)
    await_refusal(here, tokens["access"])
    assert refused(here.log_in, subject, "staple of another kind") == "InvalidCredentials"


def test_a_link_of_today_does_no_harm_to_the_release_before(old, new, subject):
    old.add_user(subject, "correct horse battery")
    unused, used = new.make_link(subject), new.make_link(subject)
    assert old.log_in(subject, "correct horse battery")
    assert refused(new.use_link, unused, "staple of another kind") == "LinkInvalid"
    new.use_link(used, "staple of another kind")
    assert old.log_in(subject, "staple of another kind")
    # A link ends with the password that it was made for, whoever changes that.
    third = new.make_link(subject)
    old.set_password(subject, "the third password here")
    assert refused(new.use_link, third, "the fourth password") == "LinkInvalid"


def test_who_was_invited_and_has_no_password_is_admitted_by_neither(old, new, subject):
    link = new.invite(subject)
    for server in (old, new):
        for password in ("", "x", "correct horse battery"):
            assert refused(server.log_in, subject, password) in {
                "InvalidCredentials",
                "InvalidInput",
            }
    new.use_link(link, "correct horse battery")
    assert old.log_in(subject, "correct horse battery")


def test_forms_of_one_are_accepted_by_the_other(pair, subject):
    here, there = pair
    session = here.login(subject)["id"]
    there.accept_form(session, here.form_token(session))
    assert refused(there.accept_form, session, here.form_token("another")) == "RequestRefused"


def test_both_work_on_the_same_users_at_once(start, new_subject):
    """Servers of both releases serve a user with several devices, as a balancer spreads calls."""
    servers = [
        start(release, number=number, **settings)
        for number in (1, 2)
        for release, settings in BESIDE.items()
    ]
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    failures: list[BaseException] = []

    def client(number: int) -> None:
        try:
            use(random.Random(seed + number), servers, new_subject())
        except BaseException as error:  # told by the test
            failures.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures, failures


def use(chance: random.Random, servers: list[Any], subject: str) -> None:
    """Play the devices of one user: each call goes to any server."""

    def any_server() -> Any:
        return chance.choice(servers)

    devices: dict[str, dict[str, str]] = {}
    for _ in range(40):
        what = chance.choice(["login", "verify", "verify", "refresh", "refresh", "logout"])
        if what == "login" or not devices:
            tokens = any_server().login(subject)
            devices[tokens["id"]] = tokens
            continue
        tokens = devices[chance.choice(sorted(devices))]
        if what == "verify":
            assert any_server().verify(tokens["access"])["id"] == tokens["id"]
        elif what == "refresh":
            devices[tokens["id"]] = any_server().refresh(tokens["refresh"])
        else:
            del devices[tokens["id"]]
            assert any_server().logout(tokens["access"]) == 1
            await_refusal(any_server(), tokens["access"])
    for server in servers:
        assert {each["id"] for each in server.sessions(subject)} == set(devices)
        for tokens in devices.values():
            assert server.verify(tokens["access"], "strict")["id"] == tokens["id"]
