"""Reads only the keys and secrets in the store, through a manager's store, and judges nothing."""

import time

from clusterpass.doctor.snapshot import NodeSnapshot, Snapshot
from clusterpass.doctor.stored_secrets import SecretSettings, StoredSecret, describe_secrets
from clusterpass.model.errors import StoreUnavailable
from clusterpass.protocol.calls.secrets import COPIES, read_secrets
from clusterpass.protocol.script import Answer, Flow
from clusterpass.store.address import Address
from clusterpass.store.protocol import Store


def see_secrets(store: Store, settings: SecretSettings) -> Snapshot:
    """Return a snapshot of nothing but what the copies of the secrets hold.

    Raises StoreUnavailable when no copy can be read.
    """
    held = store.run(_read_copies(store, settings))
    node = NodeSnapshot(address=Address("store", 0), secrets=held)
    return Snapshot(nodes=(node,), secret_settings=settings, taken_at=time.time())


def _read_copies(store: Store, settings: SecretSettings) -> Flow[tuple[StoredSecret, ...]]:
    found: list[StoredSecret] = []
    failure: StoreUnavailable | None = None
    answered = 0
    for copy in range(COPIES):
        try:
            answer: Answer[dict[str, bytes]] = yield read_secrets(store.keyspace, copy)
        except StoreUnavailable as error:
            failure = error
            continue
        answered += 1
        found += describe_secrets(answer.reply, store.keyspace.namespace, settings)
    if not answered:
        assert failure is not None
        raise failure
    return tuple(found)
