"""Violations that the protocol accepts: mostly, shards of a moving slot fail before all have heard.

The new owner raises its epoch without a vote, so no majority need know; and its replicas have the
data later than the owner itself, which nobody waits for. The same epoch may be raised by one and
voted for by others, so a later epoch does not tell the two apart either.
"""

from typing import Any, Final

from .power import Danger
from .rules import Rules
from .search import Result, near
from .world import World

_MOVED: Final = "MOVES the data from 0,MOVES the slot"
_ENDED: Final = "ends at 0,1 syncs,tick,tick,ACKNOWLEDGED by o"
_ENDED_THERE: Final = "ends at 2,3 syncs,ACKNOWLEDGED by o"
_WORLD: Final[dict[str, Any]] = {"layout": "4", "side": (), "moves": 1}

BEYOND: Final[dict[str, tuple[str, Danger]]] = {
    "a replica of the old owner is promoted, with data that it should have deleted": (
        "strict",
        Danger(
            {**_WORLD, "layout": "7", "kinds": "crash stale"},
            f"{_MOVED},{_ENDED_THERE},CRASH 0,1 is promoted",
        ),
    ),
    "the old owner restarts with data from before the move": (
        "strict",
        Danger({**_WORLD, "kinds": "restart stale"}, f"{_MOVED},{_ENDED_THERE},RESTART 0 with 0"),
    ),
    "the new owner dies before its replica has the data, and a session is lost": (
        "refused",
        Danger(
            {**_WORLD, "kinds": "crash stale"},
            f"{_ENDED},beats of all,login s1,1 syncs,login is durable,{_MOVED},3 hears who,CRASH 2,"
            "3 is promoted",
        ),
    ),
    "the new owner dies before its replica has the data, and a ban is lost": (
        "banned",
        Danger(
            {**_WORLD, "kinds": "crash stale", "actors": "login trim ban"},
            f"{_ENDED},{_MOVED},3 hears who,CRASH 2,3 is promoted",
        ),
    ),
    "a replaced primary that has not heard of it hears the epoch of the move from a third node": (
        "strict",
        Danger(
            {"moves": 1, "kinds": "crash cut stale"},
            f"CUT,1 is promoted,MOVES the data from 1,MOVES the slot,{_ENDED_THERE},heal,"
            "0 hears epoch,4 hears epoch",
        ),
    ),
    "a replaced primary is forgotten, and hears the epoch from a third node before it is told": (
        "strict",
        Danger(
            {"replicas": 2, "kinds": "cut forget"},
            "CUT,1 is promoted,4 hears,6 hears,ends at 1,2 syncs,tick,tick,"
            "beats of all shards,login s1 at 1,heal,0 hears epoch,FORGET 0",
        ),
    ),
    "the slot moves at once with the data, and the old owner does not stand still": (
        "strict",
        Danger({**_WORLD, "kinds": "atomic stale"}, f"MOVES the slot,{_ENDED_THERE}"),
    ),
}
"""What breaks, and where; all rules are kept."""


def search_beyond(name: str, limit: int) -> Result:
    """Explore up to ``limit`` states where the protocol does not help."""
    _, danger = BEYOND[name]
    result = Result()
    near(World(Rules(), **danger.world), danger.steps, limit, result)
    return result
