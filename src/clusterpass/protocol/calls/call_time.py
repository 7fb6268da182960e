"""When a call was made, by the caller's evidence: a script judges the server's clock by it."""

import struct
from dataclasses import dataclass
from typing import Final

_PACKED: Final = struct.Struct(">6sB")
_MOST: Final = 2**48 - 1


@dataclass(frozen=True, slots=True)
class CallTime:
    """The time at which a call was made."""

    milliseconds: int
    """Milliseconds since the epoch; 0: not told, and the server's clock is not judged."""
    is_agreed: bool
    """Whether most primaries agree with that time."""
    is_simulated: bool = False
    """Whether the time is that of a test; servers take it in namespaces for tests only."""

    def pack(self) -> bytes:
        """The 7 bytes that a script takes."""
        milliseconds = min(max(self.milliseconds, 0), _MOST)
        return _PACKED.pack(milliseconds.to_bytes(6, "big"), self._standing())

    def _standing(self) -> int:
        return 2 if self.is_simulated else self.is_agreed


NO_TIME: Final = CallTime(0, is_agreed=False)
"""The time of a call whose server is believed, whatever its clock says."""
