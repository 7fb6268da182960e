"""A real cluster of server processes on this machine, for development, tests and demonstrations.

Rules of this package
- Every server process is a child of one supervisor process, never of the program itself: when the
  program ends, however it ends, the supervisor ends the servers and removes what is temporary.
- All servers listen on 127.0.0.1 only. Passwords stand in files of mode 0600, never in arguments.
- Nothing waits blindly: each state is awaited by asking for it until a deadline.
- POSIX only (Linux, macOS); server version 7.0 or newer.
"""

from .cluster import EmbeddedCluster
from .detached import start_detached, stop_detached
from .options import Node, TlsFiles
from .state import ClusterState, read_state

__all__ = [
    "ClusterState",
    "EmbeddedCluster",
    "Node",
    "TlsFiles",
    "read_state",
    "start_detached",
    "stop_detached",
]
