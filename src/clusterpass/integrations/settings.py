"""The settings of an integration, from the framework's own settings and from the environment.

Both know the same names: ``STORE_URL``, every setting of ``Config`` (``ISSUER``, ``KEYS_FILE``,
``ACCESS_LIFETIME``, ...), of ``WebSettings`` (``COOKIE_SECURE``, ``LOGIN_URL``, ...), and of
``ThrottlePolicy`` (``ACCOUNT_ATTEMPTS``, ...). What the framework sets comes before
``CLUSTERPASS_*`` variables.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final

from clusterpass.config import PREFIX, SETTINGS, Config
from clusterpass.managers.development import development_config
from clusterpass.model.environment_settings import read_variables
from clusterpass.model.errors import ConfigurationError
from clusterpass.store.drivers.watch_thread import has_green_threads
from clusterpass.store.store_url import parse_store_url
from clusterpass.users.throttle import ThrottlePolicy
from clusterpass.web.settings import WebSettings

_STORE_URL: Final = "store_url"
_OWN_STORE: Final = ""
"""Nobody opens the store of a manager that is the application's own."""
_WEB: Final[dict[str, type]] = {
    **{each.name: bool if each.type is bool else str for each in fields(WebSettings) if each.init},
    "token_places": tuple,
    "trusted_proxies": tuple,
}
_THROTTLE: Final[dict[str, type]] = {each.name: int for each in fields(ThrottlePolicy)}
_NAMES: Final = {**SETTINGS, **_WEB, **_THROTTLE, _STORE_URL: str}
_ELSEWHERE: Final = frozenset({*_WEB, *_THROTTLE, _STORE_URL})
"""The settings that are none of ``Config``."""
_NEEDS_KEYS: Final = frozenset({"keys", "keys_file", "issuer"})


@dataclass(frozen=True, slots=True)
class Setup:
    """The validated settings of an integration."""

    store_url: str
    """Where sessions are stored."""
    config: Config
    """The configuration of the session manager."""
    web: WebSettings
    """How the application uses sessions."""
    chosen: frozenset[str] = frozenset()
    """The names of the settings that were given."""
    throttle: ThrottlePolicy = field(default_factory=ThrottlePolicy)
    """How many passwords may be tried."""

    def config_here(self) -> Config:
        """Return the configuration of a synchronous manager that is opened now, in this process.

        Under gevent and eventlet, which a server may bring in after it has loaded the application,
        the store is asked each time, unless ``verification`` was given.
        """
        if has_green_threads() and "verification" not in self.chosen:
            return replace(self.config, verification="strict")
        return self.config


def set_up(
    values: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    config: Config | None = None,
) -> Setup:
    """Return the settings of an integration.

    ``values``: the framework's settings by their names, in any case and without a prefix; None
    counts as absent, except for ``login_url`` and ``step_up_url``. ``environ``: ``os.environ``
    unless given. With an ``embedded://`` store, an issuer and keys are made for development.
    ``config``: that of a manager of the application's own, in whose place no setting comes. Raises
    ConfigurationError, which names the setting.
    """
    found = read_variables(os.environ if environ is None else environ, PREFIX, _NAMES)
    for name, value in values.items():
        key = name.lower()
        if key not in _NAMES and key != "policy":
            meant = get_close_matches(key, _NAMES, n=1)
            hint = f"; did you mean {meant[0].upper()}?" if meant else ""
            raise ConfigurationError(f"{name} is no setting of ClusterPass{hint}")
        if value is not None:
            found[key] = value
    store_url = found.get(_STORE_URL, None if config is None else _OWN_STORE)
    if store_url is not None and not isinstance(store_url, str):
        raise ConfigurationError("store_url must be text")
    if store_url is None:
        raise ConfigurationError(f"{PREFIX}STORE_URL is not set: where are sessions stored?")
    web = WebSettings(**{name: _tupled(found[name]) for name in _WEB if name in found})
    throttle = ThrottlePolicy(**{name: found[name] for name in _THROTTLE if name in found})
    if config is not None:
        return Setup(store_url, config, web, frozenset(found), throttle)
    of_config = {name: value for name, value in found.items() if name not in _ELSEWHERE}
    if parse_store_url(store_url).is_embedded and not _NEEDS_KEYS & of_config.keys():
        made = development_config(store_url)
        of_config |= {"issuer": made.issuer, "keys": made.keys}
    return Setup(store_url, Config.from_settings(of_config), web, frozenset(found), throttle)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
