"""The statuses in the replies of the scripts, as the headers of the scripts list them."""

from typing import Literal

LoginStatus = Literal["OK", "BANNED", "REFUSED", "OVERTAKEN", "SPENT"]
"""``scripts/login.lua``: open, banned, too many sessions, or all were revoked in the meantime.

SPENT: what the session was to be opened for, such as a token of another issuer, opens no more.
"""
RotateStatus = Literal[
    "OK", "AGAIN", "UNKNOWN", "ENDED", "REUSED", "UNCERTAIN", "SUPERSEDED", "UNREADABLE"
]
"""``scripts/rotate.lua``: exchanged, exchanged a moment ago, or why the token was refused.

UNREADABLE, a record of a later release, is raised as UnreadableRecord: the token may be good.
"""
EndStatus = Literal["ENDED", "ALREADY", "UNKNOWN", "MISMATCH"]
"""``scripts/end_session.lua``: the session ended now, had ended before, or is not known.

MISMATCH: the operation id belongs to another request, and nothing was changed.
"""
EndAllStatus = Literal["OK", "MISMATCH"]
"""``scripts/end_all.lua``: the sessions have ended, or the id belongs to another request."""
ElevateStatus = Literal["OK", "IMPERSONATED", "ENDED"]
"""``scripts/elevate.lua``: stepped up, refused to an impersonation, or the session is not live."""
BanStatus = Literal["OK", "FULL", "MISMATCH"]
"""``scripts/ban.lua``: banned, or refused because the subject has the most bans already, or because
the operation id belongs to another request."""
SetClaimsStatus = Literal["OK", "MISMATCH"]
"""``scripts/set_claims.lua``: done, or the operation id belongs to another request."""
AddUserStatus = Literal["OK", "EXISTS"]
"""``scripts/user_add.lua``: the user was added, or another operation had added the user before."""
ChangeUserStatus = Literal["OK", "UNKNOWN", "CHANGED"]
"""``scripts/user_change.lua``: changed, no such user, or the field holds an unexpected value."""
MakeLinkStatus = Literal["OK", "UNKNOWN"]
"""``scripts/link_make.lua``: the link is there, or there is no such user."""
JournalAppendStatus = Literal["OK", "MISMATCH", "FULL"]
"""``scripts/journal_append.lua``: written; another request has the id; or no room is left."""
JournalFillStatus = Literal["OK", "CHANGED"]
"""``scripts/journal_fill.lua``: filled, or overtaken by another process or a restart."""
