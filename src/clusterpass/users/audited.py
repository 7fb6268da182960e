"""Records the outcome of a user-directory procedure in the audit trail."""

from typing import Any, TypeVar

from clusterpass.model.authentication_errors import InvalidCredentials
from clusterpass.model.errors import ClusterPassError, TooManyAttempts
from clusterpass.model.refusals import refusal_here
from clusterpass.sessions.audit_recorder import NOTHING_DONE, AuditTrail
from clusterpass.users.procedures import Procedure

Result = TypeVar("Result")


def audited(
    trail: AuditTrail | None,
    action: str,
    procedure: Procedure[Result],
    *,
    success: bool = True,
    failure: bool = True,
    **about: Any,
) -> Procedure[Result]:
    """Run ``procedure``, and note its outcome; return and raise what it does.

    ``trail``: None where nothing is noted. ``success``, ``failure``: whether these are noted.
    ``about``: as for ``AuditTrail.around``.
    """
    if trail is None:
        return (yield from procedure)
    try:
        result = yield from procedure
    except NOTHING_DONE:
        raise
    except ClusterPassError as error:
        if failure:
            yield trail.note_error(action, error, about)
            if action == "authenticate" and isinstance(error, InvalidCredentials | TooManyAttempts):
                refusal_here().put_in_trail()
        raise
    except BaseException:
        trail.note_end(action, about)
        raise
    if success:
        yield trail.note_result(action, result, about)
    return result
