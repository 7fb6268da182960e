"""The limits on what callers may pass. Input beyond a limit raises InvalidInput.

Sizes are in bytes of UTF-8, durations in seconds.
"""

import re
from typing import Final

DAY: Final = 86_400
"""The number of seconds in a day."""
LONGEST_LIFETIME: Final = 10 * 366 * DAY
"""The longest lifetime of a session, a ban, or the history that outlives them: ten years."""
LONGEST_GRACE: Final = 3600
"""The longest ``outage_grace``: an hour."""
LONGEST_IMPERSONATION: Final = 3600
"""The longest impersonation: an hour."""
CLOCK_TOLERANCE: Final = 5
"""How far the clock of a server may be from the time that most primaries agree on and still judge a
call; beyond that the agreed time does, within the tolerance."""
MOST_CLOCKS_APART: Final = 600
"""How far two clocks may be apart to agree. Beyond that, and where no majority tells which one is
wrong, calls are refused."""
LONGEST_SUBJECT_BYTES: Final = 255
LONGEST_DEVICE_BYTES: Final = 128
"""The longest name of a device; of a longer one, the beginning is kept."""
LONGEST_REASON_BYTES: Final = 200
LARGEST_CLAIMS_BYTES: Final = 4096
"""The largest claims of one login, encoded as JSON."""
LARGEST_LIVE_CLAIMS_BYTES: Final = 2048
"""The largest live claims of a subject, encoded as JSON."""
LONGEST_PASSWORD_BYTES: Final = 1024
SHORTEST_NEW_PASSWORD: Final = 8
"""The fewest characters of a new password (NIST SP 800-63B section 3.1.1.2)."""
MOST_BAN_LEVEL: Final = 1000
MOST_BANS: Final = 32
"""The most scopes that one subject can be banned from at a time."""
LEVEL_NAME: Final = re.compile(r"[A-Za-z0-9._:/#-]{1,40}")
"""The names that a level of authentication (``acr``) may have."""
