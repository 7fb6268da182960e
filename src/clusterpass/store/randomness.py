"""Randomness for orders and pauses, where no secret depends on it.

Not the generator that the module ``random`` shares: threads of ours would disturb programs that
seed it, as tests do; and the children of a fork would all draw the same.
"""

from random import SystemRandom
from typing import Final

chance: Final = SystemRandom()
