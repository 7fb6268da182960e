"""From the release before to this one and back again, and what going back does not keep."""

import time

import pytest

from .conftest import Refused
from .test_side_by_side import notes_of

pytestmark = pytest.mark.timeout(240)


def test_the_steps_of_an_upgrade_log_nobody_out(start, subject):
    """Each step replaces the servers; the user of each step stays logged in through all others."""
    steps = [
        start("previous"),
        start("today", compatibility="previous"),
        start("today"),
    ]
    users = {}
    for number, server in enumerate(steps):
        users[number] = server.login(f"{subject}-{number}")
        for known, tokens in users.items():
            users[known] = server.refresh(tokens["refresh"])
            for each in steps[: number + 1]:
                assert each.verify(users[known]["access"], "strict")["id"] == tokens["id"]


def test_the_steps_of_going_back_log_nobody_out(start, subject):
    steps = [
        start("today"),
        start("today", compatibility="previous"),
        start("previous"),
    ]
    tokens = steps[0].login(subject)
    for server in steps:
        tokens = server.refresh(tokens["refresh"])
        for each in steps:
            assert each.verify(tokens["access"], "strict")["id"] == tokens["id"]
    (found,) = steps[-1].sessions(subject)
    assert found["id"] == tokens["id"]


def test_a_client_whose_answer_was_lost_during_a_step_stays_logged_in(start, subject):
    """The two configurations of this release run side by side while one replaces the other."""
    today, beside = start("today"), start("today", compatibility="previous")
    for first, second in ((today, beside), (beside, today)):
        tokens = first.login(subject)
        # Either server answers first, and the client asks the other again.
        for here, there in ((first, second), (second, first)):
            lost = here.refresh(tokens["refresh"])
            again = there.refresh(tokens["refresh"])
            assert again["id"] == lost["id"]
            tokens = here.refresh(again["refresh"])
        assert second.verify(tokens["access"], "strict")["id"] == tokens["id"]


def test_a_refresh_token_of_today_is_refused_by_the_release_before_and_costs_no_session(
    start, subject
):
    """What the step in between is for."""
    old, today = start("previous"), start("today")
    tokens = today.login(subject)
    assert old.verify(tokens["access"], "strict")["id"] == tokens["id"]
    with pytest.raises(Refused) as caught:
        old.refresh(tokens["refresh"])
    assert (caught.value.error, caught.value.reason) == ("InvalidRefreshToken", "malformed")
    assert [each["id"] for each in old.sessions(subject)] == [tokens["id"]]
    beside = start("today", compatibility="previous")
    tokens = beside.refresh(tokens["refresh"])
    assert old.refresh(tokens["refresh"])["id"] == tokens["id"]


def test_a_note_of_today_is_written_anew_in_the_form_of_before(start, cluster, subject):
    today = start("today", activity_interval=1)
    beside = start("today", compatibility="previous", activity_interval=1)
    tokens = today.refresh(today.login(subject)["refresh"])
    assert today.verify(tokens["access"], "strict")
    await_notes(today, cluster, subject, tokens["access"], length=5)
    await_notes(beside, cluster, subject, tokens["access"], length=4)


def await_notes(server, cluster, subject, token, *, length):
    give_up_at = time.monotonic() + 20
    while {len(each) for each in notes_of(cluster, subject).values()} != {length}:
        server.verify(token, "strict")
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
