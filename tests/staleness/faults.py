"""Faults of the network and of the processes that verify; each is a scenario's ``fault``."""

import signal
import time

from .messages import Outcome
from .proxies import (
    DISCARD,
    FORWARD,
    HOLD,
    HOLD_TO_CLIENT,
    HOLD_TO_SERVER,
    Behaviour,
)
from .stage import Stage

DROP_SECONDS = 4.0


def nothing(stage: Stage) -> None:
    """Nothing is wrong."""
    stage.sleep(2.0)


def drop_one(stage: Stage) -> None:
    """Packets are dropped both ways between the verifiers and one primary."""
    stage.behave(HOLD, nodes=[stage.victim])
    stage.sleep(DROP_SECONDS)


def drop_all(stage: Stage) -> None:
    """All packets are dropped both ways, and connections that lost bytes are reset at the end."""
    stage.behave(DISCARD)
    stage.sleep(DROP_SECONDS)


def drop_to_verifier(stage: Stage) -> None:
    """Packets from one primary to the verifiers are dropped, those to it arrive."""
    stage.behave(HOLD_TO_CLIENT, nodes=[stage.victim])
    stage.sleep(DROP_SECONDS)


def drop_to_node(stage: Stage) -> None:
    """Packets from the verifiers to all nodes are dropped, pushes arrive."""
    stage.behave(HOLD_TO_SERVER)
    stage.sleep(DROP_SECONDS)


def drop_the_others(stage: Stage) -> None:
    """The verifiers reach one primary alone: no majority tells its epoch."""
    others = [node for node in stage.cluster.nodes if node != stage.victim]
    stage.behave(HOLD, nodes=others)
    stage.sleep(DROP_SECONDS)


def delay(stage: Stage) -> None:
    """All packets are late, by up to nine tenths of the bound."""
    ends = time.monotonic() + DROP_SECONDS
    while time.monotonic() < ends:
        stage.behave(Behaviour(delay=stage.random.uniform(0, 0.9) * stage.bound))
        stage.sleep(stage.random.uniform(0.1, 0.6))


def hold_pushes(stage: Stage) -> None:
    """The connections that push stand still for moments, the others work."""
    hold = Behaviour(to_client="hold", only_pushing=True)
    ends = time.monotonic() + DROP_SECONDS
    while time.monotonic() < ends:
        stage.behave(hold)
        stage.sleep(stage.random.uniform(0.1, 1.2) * stage.bound)
        stage.behave(FORWARD)
        stage.sleep(stage.random.uniform(0.0, 0.4) * stage.bound)


def reset_connections(stage: Stage) -> None:
    """Each connection is reset after 0.15 s on average."""
    stage.behave(Behaviour(lifetime=0.15))
    stage.sleep(DROP_SECONDS)


def stop_verifiers(stage: Stage) -> None:
    """The verifier processes are stopped by a signal for 2 s, and go on."""
    for verifier in stage.verifiers.values():
        verifier.signal(signal.SIGSTOP)
    try:
        stage.sleep(2.0)
    finally:
        for verifier in stage.verifiers.values():
            verifier.signal(signal.SIGCONT)
    stage.sleep(0.5)


def stall_loops(stage: Stage) -> None:
    """The event loops of the asynchronous verifiers stand still for 1.5 s, twice."""
    stalled = [stage.verifiers[name] for name in ("asyncio", "uvloop")]
    for _ in range(2):
        for verifier in stalled:
            verifier.begin("stall", 1.5)
        for verifier in stalled:
            verifier.finish()
        stage.sleep(0.3)


def keep_the_interpreter_busy(stage: Stage) -> None:
    """A thread of pure Python keeps the interpreter of the threads to itself, 0.3 s at a time."""
    verifier = stage.verifiers["threads"]
    verifier.call("busy", DROP_SECONDS, 0.3)


def flush(stage: Stage) -> None:
    """All data of one primary is deleted: none of its tokens may be accepted any more."""
    stage.sleep(0.5)
    begun = time.monotonic()
    with stage.cluster.client(stage.victim) as client:
        client.flushall()
    acknowledged = time.monotonic()
    stage.also_ended += [
        Outcome(token.name, "flush", begun, acknowledged, begun, True, 0) for token in stage.victims
    ]
    stage.sleep(1.5)


def flush_unseen(stage: Stage) -> None:
    """All data of one primary is deleted while nothing of that reaches the verifiers."""
    stage.behave(HOLD_TO_CLIENT, nodes=[stage.victim])
    flush(stage)
    stage.sleep(1.0)


def cut_off_one_by_one(stage: Stage) -> None:
    """All sessions are ended by a cutoff while the verifiers reach one primary alone."""
    stage.sleep(0.8)
    others = [node for node in stage.cluster.nodes if node != stage.victim]
    stage.behave(HOLD, nodes=others)
    stage.sleep(3.0)


def cut_off_hidden(stage: Stage) -> None:
    """All sessions are ended by a cutoff while pushes of two primaries do not arrive."""
    stage.sleep(0.8)
    stage.behave(Behaviour(to_client="hold", only_pushing=True), nodes=stage.others)
    stage.sleep(3.0)
