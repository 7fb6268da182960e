"""The settings, and the gate and session manager that each process makes from them.

``settings.CLUSTERPASS`` takes the settings of :mod:`clusterpass.integrations.settings` and three of
its own: ``CLAIMS``, a function (or its dotted path) that returns the claims of a user's new
session; ``SUBJECT_FIELD``, the unique field of the user model that is the subject (``pk`` by
default); and ``OPEN_SESSIONS``, a function (or its dotted path) that returns the session manager
for a store URL and a Config (``SessionManager.from_url`` by default).
"""

import asyncio
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from threading import Lock, Thread
from typing import Any, Final, cast

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import (
    MultipleObjectsReturned,
    ObjectDoesNotExist,
    ValidationError,
)
from django.shortcuts import resolve_url
from django.utils.module_loading import import_string

from clusterpass.config import Config
from clusterpass.integrations.settings import set_up
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Session
from clusterpass.store.drivers.aio import AsyncStore
from clusterpass.store.drivers.base import StoreBase
from clusterpass.users.sync.throttle import LoginThrottle
from clusterpass.web.gate import Gate
from clusterpass.web.login_attempts import LoginAttempts

SETTING: Final = "CLUSTERPASS"
Claims = Callable[[Any], Mapping[str, Any]]
OpenSessions = Callable[[str, Config], SessionManager]


class Installed:
    """ClusterPass as the settings of Django describe it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """``values``: ``settings.CLUSTERPASS``. Raises ConfigurationError for an unsafe setting."""
        found = dict(values)
        self.claims_of: Final = cast("Claims", _function(found, "CLAIMS", _no_claims))
        self._open: Final = cast(
            "OpenSessions", _function(found, "OPEN_SESSIONS", SessionManager.from_url)
        )
        self._subject_field: Final[str] = found.pop("SUBJECT_FIELD", "pk")
        setup = set_up(found)
        web = setup.web
        if "login_url" not in setup.chosen and settings.is_overridden("LOGIN_URL"):
            web = replace(web, login_url=resolve_url(settings.LOGIN_URL))
        self._web: Final = web
        self._opens_itself: Final = self._open == SessionManager.from_url
        self._setup: Final = setup
        self._sessions: SessionManager | None = None
        self._async_sessions: AsyncSessionManager | None = None
        self._lock: Final = Lock()
        if self._opens_itself:
            _ = self.gate  # which finds unsafe settings

    @cached_property
    def gate(self) -> Gate:
        """The gate that admits requests, by the settings of the application."""
        return Gate(self._config, self._web)

    @cached_property
    def attempts(self) -> LoginAttempts:
        """The attempts to log in."""
        return LoginAttempts(self.gate, self._config)

    @property
    def _config(self) -> Config:
        """The configuration of the manager, whose secrets OPEN_SESSIONS may have chosen."""
        return self._setup.config if self._opens_itself else self.sessions.config

    @property
    def sessions(self) -> SessionManager:
        """The session manager, which is opened when it is first used, and closed at the end."""
        with self._lock:
            if self._sessions is None:
                config = self._setup.config_here()
                self._sessions = self._open(self._setup.store_url, config)
                weakref.finalize(self, self._sessions.close)
            return self._sessions

    @property
    def async_sessions(self) -> AsyncSessionManager:
        """A manager of the same sessions for event loops, opened when it is first used.

        Closed at the end, before the synchronous manager, which may stop an embedded cluster.
        """
        opened = self.sessions
        # That of the cluster itself where embedded:// has started one.
        location = cast("StoreBase", opened.store).location
        with self._lock:
            if self._async_sessions is None:
                self._async_sessions = AsyncSessionManager(AsyncStore(location), opened.config)
                weakref.finalize(self, _close, self._async_sessions)
            return self._async_sessions

    def throttle(self) -> LoginThrottle:
        """Return what counts attempts to log in."""
        return LoginThrottle(self.sessions, self._setup.throttle)

    def close(self) -> None:
        """Close the session managers that are open."""
        if self._async_sessions is not None:
            _close(self._async_sessions)
        if self._sessions is not None:
            self._sessions.close()

    def subject_of(self, user: Any) -> str:
        """Return the subject of the sessions of ``user``."""
        return str(getattr(user, self._subject_field))

    def subject_named(self, username: str) -> str:
        """Return the subject of the user of a name, as it was typed.

        Where nobody has the name, it is the name itself if names are subjects, and ``unknown:``
        and the name otherwise: a name of digits must not be taken for somebody's primary key.
        """
        model: Any = get_user_model()
        if self._subject_field == model.USERNAME_FIELD:
            return username
        try:
            user = model._default_manager.get_by_natural_key(username)
        except (ObjectDoesNotExist, MultipleObjectsReturned, ValueError, ValidationError):
            return f"unknown:{username}"
        return self.subject_of(user)

    def user_of(self, session: Session) -> Any:
        """Return the active user of ``session``; None when there is none."""
        users = get_user_model()._default_manager
        try:
            user = users.filter(**{self._subject_field: session.subject}).first()
        except (ValueError, ValidationError):  # a subject that is no key of this table
            return None
        return user if getattr(user, "is_active", True) else None


def installed() -> Installed:
    """Return ClusterPass as the settings describe it, the same object each time.

    Raises ConfigurationError for an unsafe setting.
    """
    with _lock:
        if not _made:
            _made.append(Installed(getattr(settings, SETTING, {})))
        return _made[0]


def forget(*, setting: str = SETTING, **_: Any) -> None:
    """Read the settings again when they are next needed, after a test has changed them."""
    if setting in {SETTING, "LOGIN_URL"}:
        with _lock:
            while _made:
                _made.pop().close()


def sessions() -> SessionManager:
    """Return the session manager of the process. Raises ConfigurationError."""
    return installed().sessions


def subject_of(user: Any) -> str:
    """Return the subject of the sessions of ``user``: its primary key, unless SUBJECT_FIELD says
    otherwise.
    """
    return installed().subject_of(user)


def _close(opened: AsyncSessionManager) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(opened.close())  # at the end of the process no thread can start
    else:
        closing = Thread(target=asyncio.run, args=(opened.close(),))
        closing.start()
        closing.join()


def _function(found: dict[str, Any], name: str, default: Callable[..., Any]) -> Callable[..., Any]:
    """Take the setting ``name`` out of ``found``: a function, or its dotted path."""
    value = found.pop(name, None)
    function = import_string(value) if isinstance(value, str) else value
    if function is None:
        return default
    if not callable(function):
        raise ConfigurationError(f"{name} must be a function, or its dotted path")
    return cast("Callable[..., Any]", function)


def _no_claims(_: Any) -> Mapping[str, Any]:
    return {}


_lock: Final = Lock()
_made: Final[list[Installed]] = []
