"""The audit trail on one server, behind Sentinel and on clusters, when its primary is lost."""

import contextlib
import dataclasses
from pathlib import Path

import pytest

from clusterpass import AuditPolicy, ClusterPassError, Config
from clusterpass.protocol.calls.audit import SLOT
from clusterpass.protocol.keyspace import Keyspace
from tests.cluster.stored import new_namespace
from tests.cluster.test_cluster_listeners import KINDS
from tests.cluster.topologies import SHAPES, SURVIVING, at_last, await_that

pytestmark = [pytest.mark.timeout(240), pytest.mark.sampled(3)]
CASES = [
    *((name, "kill") for name in SURVIVING),
    *((name, "hand_over") for name in SURVIVING if name != "one server"),
]
REPLICAS = {"one server": 0, "3+3": 1}


@pytest.mark.parametrize("style", KINDS)
@pytest.mark.parametrize(("name", "how"), CASES)
def test_what_is_noted_meanwhile_waits_and_is_written(
    name: str, how: str, style: str, config: Config, tmp_path: Path
) -> None:
    namespace = new_namespace()
    key = Keyspace(namespace).audit(SLOT)
    own = dataclasses.replace(config, audit=AuditPolicy())
    with SHAPES[name](tmp_path) as shape:
        url = f"{shape.url}?namespace={namespace}"
        with contextlib.closing(KINDS[style](url, own)) as manager:
            expected = []
            for number in range(10):
                at_last(lambda number=number: manager.login(f"before-{number}"))
                expected.append(f"before-{number}")
            at_last(manager.audit.flush)
            with shape.client(key) as client:
                wanted = REPLICAS.get(name, 2)
                await_that(lambda: client.wait(wanted, 1000) >= wanted, "the replicas have it")
            getattr(shape, how)(key)
            for number in range(10):
                with contextlib.suppress(ClusterPassError):
                    manager.bans.add(f"meanwhile-{number}", scope="chat")
                    expected.append(f"meanwhile-{number}")
            shape.await_successor(key)
            for number in range(10):
                at_last(lambda number=number: manager.login(f"after-{number}"))
                expected.append(f"after-{number}")
            at_last(manager.audit.flush)
            assert at_last(manager.audit.check).is_sound
            entries = at_last(lambda: manager.audit.page(limit=1000)).entries
    done = {entry.subject for entry in entries if entry.outcome == "done"}
    if how == "hand_over":  # what the old primary took last may be lost
        expected = [each for each in expected if not each.startswith("meanwhile")]
    assert set(expected) <= done
