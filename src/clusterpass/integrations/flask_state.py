"""The state of the Flask extension in one application: session manager, gate and throttle."""

import weakref
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, cast

from flask import Flask, current_app
from werkzeug.local import LocalProxy

from clusterpass.integrations.settings import set_up
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.errors import ConfigurationError
from clusterpass.model.values import Session
from clusterpass.users.sync.throttle import LoginThrottle
from clusterpass.web.gate import Gate
from clusterpass.web.login_attempts import LoginAttempts

if TYPE_CHECKING:
    from clusterpass.integrations.flask import ClusterPass

EXTENSION: Final = "clusterpass"
"""The name of the extension in ``app.extensions``."""

# What a proxy is asked for goes through several functions each time; this is asked directly.
_app_here: Final = cast("LocalProxy[Flask]", current_app)._get_current_object


class Extension:
    """The state of the extension in one application."""

    def __init__(
        self, owner: "ClusterPass", values: dict[str, Any], sessions: SessionManager | None
    ) -> None:
        """``values``: the settings by name; ``sessions``: a manager of the application's own, or
        None. Raises ConfigurationError for an unsafe setting."""
        setup = set_up(values, config=None if sessions is None else sessions.config)
        self.owner: Final = owner
        self.gate: Final = Gate(setup.config, setup.web)
        self.attempts: Final = LoginAttempts(self.gate, setup.config)
        self._setup: Final = setup
        self._sessions = sessions
        self._lock: Final = Lock()
        self.recall: Callable[[str], Session | None] = _forgetful
        """Returns the session of a bearer token that is remembered, else None."""
        if sessions is not None:
            self._recall_by(sessions)

    @property
    def sessions(self) -> SessionManager:
        """The session manager."""
        if self._sessions is None:
            with self._lock:
                self._sessions = self._sessions or self._open()
        return self._sessions

    def throttle(self) -> LoginThrottle:
        """Return the login throttle of the application."""
        return LoginThrottle(self.sessions, self._setup.throttle)

    def _open(self) -> SessionManager:
        manager = SessionManager.from_url(self._setup.store_url, self._setup.config_here())
        self._recall_by(manager)
        weakref.finalize(self, manager.close)
        return manager

    def _recall_by(self, manager: SessionManager) -> None:
        if "header" in self.gate.settings.token_places:
            self.recall = manager.recall


def extension_here() -> Extension:
    """Return what is kept for the current application.

    Raises ConfigurationError when :meth:`ClusterPass.init_app` was not called.
    """
    try:
        extension: Extension = _app_here().extensions[EXTENSION]
    except KeyError:
        raise ConfigurationError(
            "the extension was not initialised: call ClusterPass().init_app"
        ) from None
    return extension


def _forgetful(_: str) -> None:
    """Return None: the manager is not open, or no bearer token is accepted."""
