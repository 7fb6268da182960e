"""Missing credentials and missing rights are reported at once."""

import time

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.model.errors import StoreDenied

from .conftest import HANGING, PASSWORD, Opener


def test_user_and_password_of_the_url(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    assert PASSWORD not in guarded.url
    manager = open_url(guarded.url)
    manager.ping()
    assert manager.verify(manager.login(subject).access_token).subject == subject


@pytest.mark.parametrize("user_info", ["app:wrong%20secret@", "nobody:wrong%20secret@", ""])
def test_a_wrong_password_is_told_at_once(
    open_url: Opener, guarded: EmbeddedCluster, user_info: str, subject: str
) -> None:
    address = guarded.nodes[0].address
    manager = open_url(f"redis://{user_info}{address}?deadline={HANGING * 2}")
    begin = time.monotonic()
    for verb in (lambda: manager.login(subject), manager.ping):
        with pytest.raises(StoreDenied) as refusal:
            verb()
        assert "wrong secret" not in f"{refusal.value!r} {refusal.value}"
    assert time.monotonic() - begin < HANGING


@pytest.mark.parametrize("name", ["evalsha", "hgetall", "hset"])
def test_a_missing_right_is_told_at_once(
    open_url: Opener, guarded: EmbeddedCluster, name: str, subject: str
) -> None:
    """``evalsha`` is refused by itself, the others inside of the script."""
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command(
            "ACL", "SETUSER", f"without-{name}", "on", ">secret", "~*", "+@all", f"-{name}"
        )
    address = guarded.nodes[0].address
    manager = open_url(f"redis://without-{name}:secret@{address}?deadline={HANGING * 2}")
    begin = time.monotonic()
    with pytest.raises(StoreDenied):
        manager.login(subject)
    assert time.monotonic() - begin < HANGING


def test_keys_that_are_out_of_reach(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", "own", "on", ">secret", "~own:*", "+@all")
    url = f"redis://own:secret@{guarded.nodes[0].address}"
    with pytest.raises(StoreDenied):
        open_url(url).login(subject)
    assert open_url(f"{url}?namespace=own").login(subject).subject == subject


def test_a_user_who_loses_the_right_while_connected(
    open_url: Opener, guarded: EmbeddedCluster, subject: str
) -> None:
    with guarded.client(guarded.nodes[0]) as client:
        client.execute_command("ACL", "SETUSER", "leaving", "on", ">secret", "~*", "+@all")
        manager = open_url(f"redis://leaving:secret@{guarded.nodes[0].address}")
        pair = manager.login(subject)
        client.execute_command("ACL", "DELUSER", "leaving")
    with pytest.raises(StoreDenied):
        manager.verify(pair.access_token)
