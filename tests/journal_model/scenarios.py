"""The worlds that random histories run through with all rules kept."""

from typing import Any, Final

WORLDS: Final[dict[str, dict[str, Any]]] = {
    "3+3, no cut": {"side": (), "kinds": "crash restart vstart"},
    "3+3, owner parted, all reach both": {"side": (0,)},
    "3+3, owner parted with verifiers": {"side": (0,), "reach": ("b", "b", "a")},
    "3+3, owner parted with revoker": {"side": (0,), "reach": ("a", "b", "b")},
    "3+3, owner away from revoker": {"side": (0, 1), "reach": ("b", "*", "*")},
    "3+3, a journal parted with verifiers": {"side": (2,), "reach": ("*", "*", "a")},
    "3+3, owner and a journal parted": {"side": (0, 2), "reach": ("*", "b", "*")},
    "3+3, journals roll back": {"side": (), "kinds": "crash restart jroll"},
    "4 shards, owner parted, all reach both": {"layout": "4", "side": (0,)},
    "4 shards, owner away from revoker": {"layout": "4", "side": (0, 1), "reach": ("b", "*", "*")},
    "4 shards, owner and a journal parted": {"layout": "4", "side": (0, 2)},
    "4 shards, two journals parted": {"layout": "4", "side": (2, 4)},
    "4 shards, journals roll back": {"layout": "4", "side": (), "kinds": "crash restart jroll"},
    "4 shards, a journal parted, rolls back": {
        "layout": "4",
        "side": (2,),
        "kinds": "crash restart jroll cut",
    },
    "7 shards, owner parted, all reach both": {"layout": "7", "side": (0,)},
    "7 shards, a journal parted": {"layout": "7", "side": (2,)},
    "2 replicas, owner parted with one": {"replicas": 2, "side": (0, 1), "reach": ("a", "*", "*")},
    "2 replicas, all reach both": {"replicas": 2, "side": (0, 1)},
    "4 shards, 2 replicas": {"layout": "4", "replicas": 2, "side": (0, 1)},
    "2 replicas, an owner forgotten": {"replicas": 2, "side": (0,), "kinds": "crash cut forget"},
    "3+3, two verifiers": {"side": (0,), "verifiers": 2},
    "3+3, late requests": {
        "side": (0,),
        "kinds": "crash restart jroll cut",
        "actors": "login trim late",
    },
    "4 shards, late requests": {
        "layout": "4",
        "side": (0,),
        "kinds": "crash restart jroll cut",
        "actors": "login trim late",
    },
    "3+3, reads under way": {"side": (0,), "actors": "login trim ask"},
    "4 shards, reads under way": {"layout": "4", "side": (0, 2), "actors": "login trim ask"},
    "3+3, manual failover": {"side": (0,), "kinds": "crash restart cut manual"},
    "4 shards, manual failover": {
        "layout": "4",
        "side": (0,),
        "kinds": "crash jroll restart manual",
    },
    "3+3, numbers of heads": {
        "side": (),
        "kinds": "crash restart jroll",
        "actors": "login trim numbers",
    },
    "4 shards, numbers of heads": {"layout": "4", "side": (2,), "actors": "login trim numbers"},
    "3+3, a ban": {"side": (0,), "actors": "login trim ban"},
    "4 shards, a ban": {
        "layout": "4",
        "side": (0, 1),
        "reach": ("b", "*", "*"),
        "actors": "login trim ban",
    },
}
