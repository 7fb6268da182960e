"""Store URLs as people write them: each leads to the store, or says what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clusterpass import EmbeddedCluster
from clusterpass.doctor import examine
from clusterpass.model.errors import StoreFailed
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.store.store_url import parse_store_url

from .conftest import Opener
from .servers import Servers

pytestmark = [pytest.mark.timeout(120), pytest.mark.sampled(2)]


def is_used(manager: Any, subject: str) -> bool:
    token = manager.login(subject).access_token
    return bool(manager.verify(token, verification="strict").subject == subject)


@pytest.mark.parametrize("scheme", ["redis+cluster", "valkey+cluster"])
def test_names_of_clusters(opened: Opener, cluster: EmbeddedCluster, subject: str, scheme: str):
    assert is_used(opened(cluster.url.replace("redis+cluster", scheme)), subject)


@pytest.mark.parametrize("form", ["redis://{}", "valkey://{}", "redis://{}/0", "valkey://{}?db=0"])
def test_names_of_a_server(opened: Opener, server: EmbeddedCluster, subject: str, form: str):
    assert is_used(opened(form.format(parse_store_url(server.url).seeds[0])), subject)


@pytest.mark.parametrize("password", ["", ":anything"])
def test_a_user_without_a_password(opened: Opener, started: Servers, subject: str, password: str):
    user = ("--user", "app", "on", "nopass", "~cp:*", "&*", "+@all")
    port = started.start(*user, "--user", "default", "off")
    manager = opened(f"redis://app{password}@127.0.0.1:{port}")
    assert is_used(manager, subject)
    assert not manager.stats().refusal


def test_a_socket(opened: Opener, started: Servers, subject: str, tmp_path: Path):
    path = tmp_path / "the store.sock"
    started.start("--unixsocket", str(path))
    url = f"unix://{str(path).replace(' ', '%20')}"
    manager = opened(url)
    assert is_used(manager, subject)
    assert any(finding.found for finding in examine(url).findings)


def test_a_socket_that_is_not_there(opened: Opener, tmp_path: Path):
    with pytest.raises(Exception, match="unavailable") as failure:
        opened(f"unix://{tmp_path}/missing.sock").login("anybody")
    error: Any = failure.value
    assert (error.cause, error.node) == ("refused", f"{tmp_path}/missing.sock")
    assert isinstance(error.__cause__, FileNotFoundError)


def test_a_node_of_a_cluster_is_no_single_server(
    opened: Opener, cluster: EmbeddedCluster, new_subject: Callable[[], str]
):
    subject = new_subject()
    owner = cluster.primary_of(Keyspace().sessions(subject))
    manager = opened(f"redis://{owner.address}")
    # That it owns the slots of a subject makes no difference: the others would be redirected.
    for each in (subject, *(new_subject() for _ in range(6))):
        for _ in range(2):
            with pytest.raises(StoreFailed, match=r"node of a cluster.*redis\+cluster://"):
                manager.login(each)
