"""The ACL rights that the reference names are enough, and no more than that is needed."""

import re
from pathlib import Path

import pytest

from clusterpass import EmbeddedCluster, SessionManager, UserDirectory
from clusterpass.model.errors import StoreDenied
from tests.cluster.stored import eventually

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "library.md"
PASSWORD = "a password: with/odd@characters"
QUOTED = "a%20password%3A%20with%2Fodd%40characters"


def documented_rights() -> list[str]:
    return re.search(r"^```acl\n(.*?)^```", REFERENCE.read_text(), re.M | re.S)[1].split()


@pytest.fixture(scope="module")
def limited_url(cluster: EmbeddedCluster) -> str:
    for node in cluster.nodes:
        with cluster.client(node) as client:
            rights = documented_rights()
            client.execute_command("ACL", "SETUSER", "limited", "on", f">{PASSWORD}", *rights)
            without = [right for right in rights if right != "+hset"]
            client.execute_command("ACL", "SETUSER", "weaker", "on", f">{PASSWORD}", *without)
    return cluster.url.replace("://", f"://limited:{QUOTED}@")


def test_the_documented_rights_are_enough(limited_url, config, subject):
    with SessionManager.from_url(limited_url, config) as sessions:
        first = sessions.login(subject, device="x" * 60, claims={"a": 1})
        pair = sessions.refresh(first.refresh_token)
        assert sessions.verify(pair.access_token).claims == {"a": 1}
        assert eventually(
            lambda: sessions.verify(pair.access_token) and sessions.recall(pair.access_token)
        )
        assert len(sessions.sessions(subject)) == 1
        session = sessions.verify(pair.access_token)
        sessions.elevate(session, "2", for_seconds=60)
        sessions.shorten(subject, pair.session_id, lifetime=600)
        sessions.claims.set(subject, {"plan": "pro"})
        sessions.bans.add(subject, scope="comments", for_seconds=60)
        sessions.bans.lift(subject, scope="comments")
        assert sessions.online.count().subjects >= 1
        assert sessions.online.page(limit=1).sessions
        assert sessions.history(subject)
        sessions.revoke(subject, pair.session_id)
        sessions.revoke_all(subject)
        assert sessions.generation(subject)
        sessions.bans.add(subject)
        sessions.bans.lift(subject)
        sessions.logout(sessions.login(subject).access_token)
        sessions.ping()
        users = UserDirectory(sessions)
        users.add(subject, "long enough password")
        users.login(subject, "long enough password")
        users.set_password(subject, "another long password")
        assert subject in {user.name for user in users.list()}
        users.disable(subject)


def test_a_missing_right_is_told_as_such(limited_url, config, subject):
    with SessionManager.from_url(limited_url.replace("limited", "weaker"), config) as sessions:
        with pytest.raises(StoreDenied) as refusal:
            sessions.login(subject)
        assert PASSWORD not in repr(refusal.value)
        assert refusal.value.status == 503


def test_another_namespace_is_out_of_reach(limited_url, config, subject):
    with SessionManager.from_url(f"{limited_url}?namespace=other", config) as sessions:
        with pytest.raises(StoreDenied):
            sessions.login(subject)
