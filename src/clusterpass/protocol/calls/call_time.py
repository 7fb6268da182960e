"""The time of a call by the caller's clock, with which scripts check the clock of the server."""

import struct
from typing import Final, NamedTuple

_PACKED: Final = struct.Struct(">6sB")
_MOST: Final = 2**48 - 1


class CallTime(NamedTuple):
    """The time at which a call was made."""

    milliseconds: int
    """Milliseconds since the epoch; 0: not told, and the server's clock is not judged."""
    is_agreed: bool
    """Whether most primaries agree with that time."""
    is_simulated: bool = False
    """Whether the time is that of a test; servers take it in namespaces for tests only."""

    def pack(self) -> bytes:
        """The 7 bytes that a script takes."""
        milliseconds = self.milliseconds
        if not 0 <= milliseconds <= _MOST:
            milliseconds = min(max(milliseconds, 0), _MOST)
        standing = 2 if self.is_simulated else self.is_agreed
        return _PACKED.pack(milliseconds.to_bytes(6, "big"), standing)


NO_TIME: Final = CallTime(0, is_agreed=False)
"""The time of a call whose server is believed, whatever its clock says."""
