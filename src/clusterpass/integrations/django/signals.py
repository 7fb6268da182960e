"""Signal handlers for a login, a logout and a changed user of ``django.contrib.auth``."""

from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.signals import setting_changed
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from clusterpass.integrations.django.conf import forget, installed
from clusterpass.integrations.django.login import open_session
from clusterpass.integrations.django.request_state import TIE, current, find_state, named_in
from clusterpass.model.authentication_errors import InvalidCredentials


def connect() -> None:
    """Follow the signals."""
    setting_changed.connect(forget, dispatch_uid="clusterpass")
    user_logged_in.connect(_logged_in, dispatch_uid="clusterpass")
    user_logged_out.connect(_logged_out, dispatch_uid="clusterpass")
    user_login_failed.connect(_login_failed, dispatch_uid="clusterpass")
    users = get_user_model()
    post_save.connect(_saved, sender=users, dispatch_uid="clusterpass")
    post_delete.connect(_deleted, sender=users, dispatch_uid="clusterpass")


def _logged_in(request: Any, user: Any, **_: Any) -> None:
    """Open a session beside Django's own, and set its cookies: both, or neither."""
    state = find_state(request)
    if state is None:  # a test's force_login, for example
        return
    try:
        state.take(pair := open_session(state, user, {}))
    except BaseException:
        state.log_out_of_django()
        raise
    request.session[TIE] = pair.session_id


def _login_failed(credentials: dict[str, Any], request: Any = None, **_: Any) -> None:
    """Note that a password was refused in a request."""
    state = find_state(request) or current.get()
    if state is not None:
        state.note_refusal(named_in(credentials), InvalidCredentials.code)


def _logged_out(request: Any, user: Any, **_: Any) -> None:
    """End the session of a user who logs out of Django."""
    state = find_state(request)
    if state is not None and not state.is_ending:
        state.end(user)


def _saved(instance: Any, created: bool, raw: bool, using: str, **_: Any) -> None:
    """End the sessions of a user with a new password, but the one in use, or who is not active."""
    if created or raw:
        return
    is_active = getattr(instance, "is_active", True)
    if not is_active or getattr(instance, "_password", None) is not None:
        subject = installed().subject_of(instance)
        transaction.on_commit(partial(_end_all, subject, keeps_current=is_active), using=using)


def _deleted(instance: Any, using: str, **_: Any) -> None:
    """End the sessions of a user who is deleted."""
    subject = installed().subject_of(instance)
    transaction.on_commit(partial(_end_all, subject, keeps_current=False), using=using)


def _end_all(subject: str, *, keeps_current: bool) -> None:
    state = current.get()
    session = state.session() if state is not None and keeps_current else None
    keep = session.session_id if session is not None and session.subject == subject else None
    installed().sessions.revoke_all(subject, keep=keep)
