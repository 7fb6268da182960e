"""Proof that each rule is needed: with the rule off, a search near the danger fails."""

from typing import Any, Final, NamedTuple

from .rules import Rules
from .search import Result, near
from .world import World


class Danger(NamedTuple):
    world: dict[str, Any]
    steps: str


_JOURNALS: Final = (
    "journal 1 at,journal 2 at,3 syncs,5 syncs,journal 1 conf,journal 2 conf,tick,tick,"
    "ACKNOWLEDGED by j"
)
_JOURNALS_4: Final = _JOURNALS.replace("journal 1", "journal 0").replace("journal 2", "journal 1")
_OWN: Final = "ends at 0,1 syncs,tick,tick,ACKNOWLEDGED by o"
_AWAY: Final[dict[str, Any]] = {"side": (0, 1), "reach": ("b", "*", "*")}
_ROLLS: Final[dict[str, Any]] = {"layout": "4", "side": (), "kinds": "crash restart jroll"}
_AGAIN: Final = _JOURNALS_4.replace("3 syncs", "2 syncs")
_HURRIED: Final = _JOURNALS.replace("tick,tick,", "")
_SECOND_4: Final = (
    "second: journal 0 at,second: journal 1 at,3 syncs,5 syncs,second: journal 0 conf,"
    "second: journal 1 conf,tick,tick,second: ACK"
)
_TRIMMED_ONE: Final = (
    "revoker: journal 0 at,revoker: journal 1 at,"
    + _SECOND_4
    + ",carrier: ends at 0,1 syncs,carrier: all replicas,carrier: trims at 2"
)
_TWO: Final[dict[str, Any]] = {"layout": "4", "side": (), "endings": "two subjects", "second": 0}
_MOVES: Final[dict[str, Any]] = {"layout": "4", "side": (), "kinds": "crash", "moves": 1}
_MOVED: Final = "MOVES the data from 0,MOVES the slot"

DANGERS: Final[dict[str, Danger]] = {
    "heads": Danger({"layout": "4", "side": ()}, _JOURNALS_4),
    "two_heads": Danger({"layout": "7", "side": ()}, _JOURNALS_4 + ",shard 4,shard 5,shard 6"),
    "majority": Danger(
        {"replicas": 2, "kinds": "cut forget"},
        "CUT,1 is promoted,FORGET 0,ends at 1,2 syncs,tick,tick,ACKNOWLEDGED by o",
    ),
    "wait_out": Danger(_AWAY, "CUT,beats of all," + _HURRIED),
    "wait_met": Danger(
        {"replicas": 2, "kinds": "cut forget"},
        "beats of all,CUT,1 is promoted,FORGET 0,ends at 1,2 syncs,ACKNOWLEDGED by o",
    ),
    "wait_all": Danger({"replicas": 2, "side": (0, 1), "reach": ("a", "b", "b")}, "CUT," + _OWN),
    "count_failed": Danger(
        {"side": (0,), "reach": ("a", "b", "b")}, "CUT," + _OWN.replace("1 syncs,", "")
    ),
    "journal_wait": Danger(
        {"side": ()}, _JOURNALS.replace("3 syncs,5 syncs,", "") + ",CRASH 2,3 is promoted"
    ),
    "trim_all": Danger(
        {"side": ()}, f"ends at 0,{_JOURNALS},carrier: ends at 0,trims at 2,trims at 4,CRASH 0"
    ),
    "operation": Danger(
        {"side": ()},
        "ends at 0,journal 1 at,1 syncs,tick,tick,ACKNOWLEDGED by o,"
        "beat of shard 0,beat of shard 2,login s1,1 syncs,durable",
    ),
    "apply_first": Danger(_AWAY, f"CUT,{_JOURNALS},beats of all,login s1,1 syncs,durable"),
    "login_evidence": Danger(_AWAY, f"CUT,{_JOURNALS},login s1,1 syncs,durable"),
    "at_start": Danger({"side": ()}, _JOURNALS),
    "mark_run": Danger(_ROLLS, _JOURNALS_4 + ",RESTART 2 with 0"),
    "mark_epoch": Danger(
        {**_ROLLS, "side": (2,), "kinds": "crash restart jroll cut"},
        f"CUT,3 is promoted,heal,2 is demoted,2 syncs,{_AGAIN},RESTART 3 with 0,2 syncs,"
        "CRASH 3,2 is promoted",
    ),
    "refill": Danger(_ROLLS, _JOURNALS_4 + ",RESTART 2 with 0,3 syncs,CRASH 2,3 is promoted"),
    "refill, restart in place": Danger(
        _ROLLS,
        f"CRASH 2,3 is promoted,start 2,2 is demoted,2 syncs,{_AGAIN},RESTART 3 with 0",
    ),
    "fill_set": Danger(
        {**_ROLLS, "actors": "trim late"},
        f"CRASH 2,start 2,reads to fill 2,carrier: fills 2,{_JOURNALS_4},RESTART 2 with 0,LATE",
    ),
    "electable": Danger({"side": ()}, _OWN + ",RESTART 1 with 0,CRASH 0,1 is promoted"),
    "asked_knowing": Danger({**_AWAY, "actors": "ask"}, f"CUT,{_JOURNALS},asks 0"),
    "asked_knowing, login": Danger(
        {**_AWAY, "actors": "ask login trim"},
        f"CUT,{_JOURNALS},asks 0 for a login,beats of all,login s1,1 syncs,durable",
    ),
    "head_mark": Danger(
        {"layout": "4", "side": (), "kinds": "crash", "actors": "trim numbers"},
        "subject's entry at 2,beats of all,CRASH 2,3 is promoted,start 2,2 is demoted,2 syncs,"
        f"carrier: fills 3,{_AGAIN}",
    ),
    "lift_evidence": Danger(
        {**_AWAY, "actors": "login trim ban"}, f"CUT,{_JOURNALS},lifts the ban at 0,1 syncs,durable"
    ),
    "trim_own": Danger(_TWO, f"{_TRIMMED_ONE},carrier: trims at 4"),
    "forget_one": Danger({**_TWO, "actors": "trim forget"}, f"{_TRIMMED_ONE},beat of shard 2"),
    "fill_last": Danger(
        {**_TWO, "kinds": "restart jroll"},
        f"revoker: journal 0 at,{_SECOND_4},RESTART 4 with 0,carrier: fills 4",
    ),
    "ahead_all": Danger(
        {**_TWO, "endings": "two logouts"}, f"{_JOURNALS_4},{_SECOND_4},beats of all"
    ),
    "asked_each": Danger(
        {**_TWO, "endings": "two logouts", "actors": "ask"},
        f"{_JOURNALS_4},beats of all,{_SECOND_4},asks 0",
    ),
    "own_id": Danger(
        {**_TWO, "endings": "two of all"},
        f"{_OWN},beats of all,login s1,1 syncs,login is durable,second: ends at 0,tick,tick,"
        "second: ACK",
    ),
    "ids_move": Danger(
        _MOVES,
        f"ends at 0,{_JOURNALS_4},beats of all,login s1,1 syncs,login is durable,{_MOVED},"
        "4 hears,6 hears",
    ),
    "declared": Danger(
        _MOVES,
        f"{_MOVED},4 hears,6 hears,0 hears who,ends at 0,1 syncs,tick,tick,ACKNOWLEDGED by o",
    ),
}


def rule_of(name: str) -> str:
    """The rule that averts the danger ``name``."""
    return name.partition(",")[0]


def search_danger(name: str, rules: Rules, limit: int) -> Result:
    """Explore up to ``limit`` states near a danger, under ``rules``."""
    danger, result = DANGERS[name], Result()
    near(World(rules, **danger.world), danger.steps, limit, result)
    return result


SKETCH: Final[dict[str, tuple[tuple[str, ...], Danger]]] = {
    "an entry that nobody could know of": (
        ("wait_out",),
        Danger(_AWAY, "CUT,newest,reads 0,newest," + _HURRIED),
    ),
    "the old owner executes after the new one was fenced": (
        ("wait_out", "wait_met"),
        Danger({"side": (0,)}, "CUT,1 is promoted,newest,reads 1,newest,ends at 0," + _HURRIED),
    ),
    "judged by a time of the revoker's clock": (
        ("apply_first",),
        Danger(_AWAY, f"CUT,{_JOURNALS},beats of all,login s1,1 syncs,durable"),
    ),
}
"""The first sketch, which read the journals when the owner changed: what breaks it."""


def search_sketch(name: str, limit: int) -> Result:
    off, danger = SKETCH[name]
    result = Result()
    near(World(Rules().without(*off), fence=True, **danger.world), danger.steps, limit, result)
    return result
