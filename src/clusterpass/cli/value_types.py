"""Click parameter types that reject empty text and numbers that are not finite.

An empty value mostly comes from an unset variable in a shell script. It is never treated as an
option that was left out: ``bans add NAME --scope "$SCOPE"`` must not ban from everything.
"""

import math
from typing import Final

import click


class _Text(click.ParamType[str]):
    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty; leave it out, or say what is meant.", param, ctx)
        return value


class FiniteRange(click.FloatRange):
    """A number within a range; neither ``nan`` nor ``inf`` is one."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number; called by click."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


TEXT: Final = _Text()
"""The type of an option or an argument that may be left out, but not be empty."""
# The ids of sessions and keys are base64url: one in sixty-four begins with "-" and looks like an
# option.
IDS_MAY_BEGIN_WITH_A_DASH: Final = {"ignore_unknown_options": True}
"""The settings of a command that takes such an id as an argument."""
