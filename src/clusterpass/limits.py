"""The limits of what callers may pass; longer or larger input is refused with InvalidInput.

Sizes are bytes of UTF-8, durations are seconds.
"""

import re
from typing import Final

DAY: Final = 86_400
LONGEST_LIFETIME: Final = 10 * 366 * DAY
"""Of a session, a ban, or the history that outlives them."""
LONGEST_GRACE: Final = 3600
"""Of ``outage_grace``."""
LONGEST_IMPERSONATION: Final = 3600
LONGEST_SUBJECT_BYTES: Final = 255
LONGEST_DEVICE_BYTES: Final = 128
LONGEST_REASON_BYTES: Final = 200
LARGEST_CLAIMS_BYTES: Final = 4096
"""Of the claims of one login, as JSON."""
LARGEST_LIVE_CLAIMS_BYTES: Final = 2048
"""Of a subject's live claims, as JSON."""
LONGEST_PASSWORD_BYTES: Final = 1024
SHORTEST_NEW_PASSWORD: Final = 8
"""Characters that a new password must have (NIST SP 800-63B section 3.1.1.2)."""
MOST_BAN_LEVEL: Final = 1000
MOST_BANS: Final = 32
"""Scopes that one subject can be banned from at a time."""
LEVEL_NAME: Final = re.compile(r"[A-Za-z0-9._:/#-]{1,40}")
"""What a level of authentication (``acr``) may be called."""
