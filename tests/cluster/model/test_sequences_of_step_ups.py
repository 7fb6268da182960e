"""Random sequences of step-ups, refreshes and verifies do what a plain model says they should."""

import dataclasses

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from .records import Policy
from .sequences import EXAMPLES, run
from .test_sequences_of_verbs import Verbs, levels
from .world import World

pytestmark = pytest.mark.timeout(0 if EXAMPLES else 180)


class StepUps(RuleBasedStateMachine):
    """Steps one session up, and presents any token that it ever had."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.verbs = Verbs(world)
        self.verbs.subjects = self.verbs.subjects[:1]  # the others would stay empty
        self.log_in()

    def log_in(self) -> None:
        self.verbs.login_with(self.verbs.subjects[0], Policy(1), {"acr": "1", "amr": ("pwd",)})

    @rule(level=levels, seconds=st.sampled_from([900, 3900]))
    def elevate(self, level: str, seconds: int) -> None:
        self.verbs.elevate(0, level, seconds, ("otp",), None)

    @rule(back=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 6]))
    def refresh(self, back: int) -> None:
        verbs = self.verbs
        if verbs.model.find(verbs.session(0)).ending:
            self.log_in()
        verbs.refresh(0, back, None)

    refresh_more_often = refresh

    @rule(which=st.integers(0, 9), level=st.none() | levels, age=st.sampled_from([None, 900]))
    def verify(self, which: int, level: str | None, age: int | None) -> None:
        self.verbs.verify(0, which, level, age)

    @rule(seconds=st.sampled_from([120, 600]))
    def time_passes(self, seconds: int) -> None:
        self.verbs.time_passes(seconds)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("ends_older", [False, True])
def test_any_sequence_of_step_ups_does_what_the_model_says(world: World, ends_older: bool) -> None:
    config = dataclasses.replace(world.config, step_up_ends_older_tokens=ends_older)
    manager = world.open(config)
    one = dataclasses.replace(world, config=config, manager=manager)
    try:
        run(lambda: StepUps(one), examples=40, steps=30)
    finally:
        manager.close()
