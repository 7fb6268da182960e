"""Randomness for orders and pauses. No secret depends on it.

The shared generator of the module ``random`` does not serve: threads of the library would disturb
programs that seed it, as tests do, and the children of a fork would all draw the same numbers.
"""

from random import SystemRandom
from typing import Final

chance: Final = SystemRandom()
"""The random generator of the library, safe across threads and forks."""
