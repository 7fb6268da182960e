"""A session and a ban as JSON objects, as every response of the HTTP API shows them."""

from typing import Any

from clusterpass.model.bans import Ban
from clusterpass.model.values import Session


def ban_json(ban: Ban) -> dict[str, Any]:
    """Return the members of ``ban``; times are seconds since the epoch."""
    return {
        "scope": ban.scope,
        "level": ban.level,
        "until": ban.until,
        "reason": ban.reason,
        "banned_at": ban.banned_at,
    }


def session_json(session: Session) -> dict[str, Any]:
    """Return the members of ``session``; times are seconds since the epoch. Holds no token."""
    actor = session.act
    return {
        "subject": session.subject,
        "session_id": session.session_id,
        "device": session.device,
        "device_type": session.device_type,
        "created_at": session.created_at,
        "refreshed_at": session.refreshed_at,
        "active_at": session.active_at,
        "expires_at": session.expires_at,
        "auth_time": session.auth_time,
        "acr": session.acr,
        "amr": list(session.amr),
        "claims": dict(session.claims),
        "act": None
        if actor is None
        else {
            "subject": actor.subject,
            "session_id": actor.session_id,
            "reason": actor.reason,
        },
        "bans": [ban_json(ban) for ban in session.bans],
    }
