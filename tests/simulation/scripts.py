"""The calls of the simulated processes, and the scripts by which servers know them."""

from typing import Any

from clusterpass.protocol.keyspace import Keyspace, SubjectKeys
from clusterpass.protocol.script import Script, ScriptCall, load_script

KEYSPACE = Keyspace()
READ = Script("read", b"read", b"sim-read", writes=False)
REFRESH = Script("refresh", b"refresh", b"sim-refresh", writes=True)
END = load_script("end_session")
"""The real one, as journal entries are carried out by it."""


def read_session(keys: SubjectKeys) -> ScriptCall[Any]:
    """The reply: milliseconds of the server's clock, the version of the session, and whether it is
    live."""
    return ScriptCall(READ, (keys.sessions, keys.activity), (), lambda raw: raw, slot=keys.slot)


def refresh_session(keys: SubjectKeys) -> ScriptCall[Any]:
    return ScriptCall(REFRESH, (keys.sessions, keys.activity), (), lambda raw: raw, slot=keys.slot)
