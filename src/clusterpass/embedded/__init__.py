"""A real cluster of server processes on this machine, for development, tests and demonstrations.

What is where:

- ``cluster``: ``EmbeddedCluster``, which lives as long as the program. ``detached``: a cluster that
  keeps running after the program has ended. ``shared``: a cluster that several processes use.
- ``options``: the checked options. ``binary``: the server program to run. ``conf``: the
  configuration file of a server.
- ``startup``: start the servers, or resume them. ``formation``: join them into a cluster.
- ``supervisor``: the program that is the parent of all servers. ``supervisor_process``: launches
  it, and sends it requests. ``process_state``: whether a process is running or paused.
- ``state``: the record of a cluster in its data folder. ``topology``: queries about the cluster.
  ``report``: the state of every node.

Rules of this package:

- Every server process is a child of one supervisor process, never of the program itself. When the
  program ends, for whatever reason, the supervisor stops the servers and removes temporary files.
- All servers listen on 127.0.0.1 only. Passwords are in files of mode 0600, never in arguments.
- No fixed delays: code that waits for a state polls for it until a deadline.
- POSIX only (Linux, macOS). The servers must be version 7.0 or later.
"""

from clusterpass.embedded.cluster import EmbeddedCluster
from clusterpass.embedded.detached import start_detached, stop_detached
from clusterpass.embedded.options import Node, TlsFiles
from clusterpass.embedded.shared import SharedCluster
from clusterpass.embedded.state import ClusterState, read_state

__all__ = [
    "ClusterState",
    "EmbeddedCluster",
    "Node",
    "SharedCluster",
    "TlsFiles",
    "read_state",
    "start_detached",
    "stop_detached",
]
