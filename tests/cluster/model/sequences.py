"""Settings of the random sequences: how many run, and how long they are.

``MODEL_EXAMPLES`` and ``MODEL_STEPS`` make it run longer, ``MODEL_SEED`` (a number) with other
sequences; ``MODEL_SHRINK`` looks for the shortest that fails.
"""

import itertools
import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "0"))
SEED = int(os.environ.get("MODEL_SEED", "0"))
SHRINK = "MODEL_SHRINK" in os.environ
numbers = itertools.count()


def run(
    machine: Callable[[], RuleBasedStateMachine], examples: int, steps: int, turn: int | None = None
) -> None:
    """Run it, ten sequences at a time: later ones would for the most part repeat the earlier.

    ``turn``: the seed of the whole run; every other ten run then, and the others with the next.
    """
    how = settings(
        max_examples=10,
        stateful_step_count=STEPS or steps,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
    )
    for number in range((EXAMPLES or examples) // 10):
        if turn is not None and not EXAMPLES and (number + turn) % 2:
            continue
        run_state_machine_as_test(seed(SEED + number)(machine), settings=how)
