"""Command budgets: the server commands that each verb costs on open connections."""

import math
import time

import pytest

from clusterpass import SessionManager

from .stored import commands_of, keep_cutoff_known, new_namespace

# Look-ups of the slots are left out: they come by the clock, not by the verb.
NAMES = ("evalsha", "eval", "wait", "script|load")
READ = {"evalsha": 1}
WRITE = {"evalsha": 1, "wait": 1}
VERIFIES = 400

VERBS = {
    "login": (lambda m, p, s: m.login(p.subject), WRITE),
    "verify": (lambda m, p, s: m.verify(p.access_token, verification="strict"), READ),
    "verify by the token alone": (
        lambda m, p, s: m.verify(p.access_token, verification="stateless"),
        {},
    ),
    "refresh": (lambda m, p, s: m.refresh(p.refresh_token), WRITE),
    "logout": (lambda m, p, s: m.logout(p.access_token), WRITE),
    "logout by refresh token": (lambda m, p, s: m.logout(p.refresh_token), WRITE),
    "sessions": (lambda m, p, s: m.sessions(p.subject), READ),
    "history": (lambda m, p, s: m.history(p.subject), READ),
    "revoke": (lambda m, p, s: m.revoke(p.subject, p.session_id), WRITE),
    "revoke_all": (lambda m, p, s: m.revoke_all(p.subject), WRITE),
    "generation": (lambda m, p, s: m.generation(p.subject), READ),
    "shorten": (lambda m, p, s: m.shorten(p.subject, p.session_id, lifetime=600), WRITE),
    "elevate": (lambda m, p, s: m.elevate(s, "3", for_seconds=60), WRITE),
    "bans.add": (lambda m, p, s: m.bans.add(p.subject, scope="comments"), WRITE),
    "bans.lift": (lambda m, p, s: m.bans.lift(p.subject, scope="comments"), WRITE),
    "bans.list": (lambda m, p, s: m.bans.list(p.subject), READ),
    "bans.check": (lambda m, p, s: m.bans.check(p.subject, "posts"), READ),
    "claims.set": (lambda m, p, s: m.claims.set(p.subject, {"plan": "pro"}), WRITE),
    "claims.get": (lambda m, p, s: m.claims.get(p.subject), READ),
}


@pytest.fixture
def warm(cluster, config, subject):
    """A manager that has called every verb, so that what is counted is the verb alone."""
    # What others announce of their refresh secrets is read: nobody else is in this namespace.
    with SessionManager.from_url(f"{cluster.url}?namespace={new_namespace()}", config) as manager:
        for act, _ in VERBS.values():
            pair = manager.login(subject)
            act(manager, pair, manager.verify(pair.access_token))
        manager.revoke_all(subject)
        keep_cutoff_known(manager)
        for _ in range(3):  # the next copy of the refresh secrets is read in a minute
            manager._flows.known_secrets.learn({})
        near = manager._flows.memory.near
        while any(near.seconds_unsettled(node) for node in near.leases.primaries):
            time.sleep(0.02)  # a primary that was just met is asked whether it was promoted
        yield manager


def spent(cluster, act):
    before = commands_of((cluster, "sync"), *NAMES)
    act()
    after = commands_of((cluster, "sync"), *NAMES)
    return {name: after[name] - before[name] for name in NAMES if after[name] != before[name]}


def test_each_verb_costs_what_it_should(cluster, warm, subject):
    for name, (act, budget) in VERBS.items():
        pair = warm.login(subject)
        session = warm.verify(pair.access_token)
        assert spent(cluster, lambda: act(warm, pair, session)) == budget, name  # noqa: B023


def test_strict_verifies_do_not_ask_for_the_cutoff_each_time(cluster, config, subject):
    with SessionManager.from_url(cluster.url, config) as manager:
        pair = manager.login(subject)
        manager.verify(pair.access_token, verification="strict")
        while spent(cluster, lambda: time.sleep(0.3)).get("eval"):
            continue  # the journals of the namespace are being read
        began = time.monotonic()
        commands = spent(
            cluster,
            lambda: [
                manager.verify(pair.access_token, verification="strict") for _ in range(VERIFIES)
            ],
        )
        took = time.monotonic() - began
    asked = commands.pop("evalsha") - VERIFIES
    assert asked <= 2 + math.ceil(took / 0.5), "about twice a second"
    assert commands == {}
