"""The ASGI application of a worker: the hot paths, the front door, and the framework behind them.

- The settings are validated when the application is created. The store is opened when a worker's
  event loop starts, and closed with it.
- The framework is loaded on a thread when the first request needs it. A worker that only answers
  the hot paths never holds it in memory.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from clusterpass import (
    AsyncSessionManager,
    Config,
    KeyRing,
)
from clusterpass.service.asgi.exit_with_parent import exit_with_parent
from clusterpass.service.asgi.leaving import Leaving
from clusterpass.service.asgi.lifespan import run_lifespan
from clusterpass.service.asgi.log_lines import make_logger
from clusterpass.service.asgi.messages import App, Receive, Scope, Send
from clusterpass.service.asgi.request_body import BodyReader
from clusterpass.service.asgi.request_counts import RequestCounts
from clusterpass.service.asgi.request_guard import RequestGuard
from clusterpass.service.authz.endpoints import PREFIX
from clusterpass.service.authz.setup import AuthzSetup, check_keys
from clusterpass.service.calls.hand_over import HandOvers
from clusterpass.service.calls.page_gate import PageGate
from clusterpass.service.calls.password_check import load_check, make_authenticator
from clusterpass.service.calls.proxy_cookie import ProxyCookies
from clusterpass.service.calls.requests import address_by
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.change_notes import ChangeNotes
from clusterpass.service.hot.routes import hot_routes
from clusterpass.service.key_file_reload import ReloadedKeys
from clusterpass.service.last_keys import LastKeys
from clusterpass.service.mail import make_sender
from clusterpass.service.monitoring.setup import Monitoring
from clusterpass.service.settings.service import Settings
from clusterpass.service.store_keys import FollowedKeys
from clusterpass.service.store_outages import StoreOutageLog
from clusterpass.web.client_address import counted_address
from clusterpass.web.known_devices import KnownDevices

if TYPE_CHECKING:
    from clusterpass.service.monitoring.tracing import Tracing

_FRAMEWORK: Final = "fastapi"


def create_app(
    settings: Settings,
    *,
    logger: Any = None,
    parent: int | None = None,
    is_successor: bool = False,
    last_keys: LastKeys | None = None,
) -> "Application":
    """Return the application; raise ConfigurationError when the settings are unsafe or invalid.

    ``logger``: as from ``make_logger``; by default, one that writes to standard output. ``parent``:
    the id of the parent process; this process exits when the parent does. ``is_successor``: it
    replaces a worker of a running service, and starts although its policy file is broken by now.
    ``last_keys``: the keys in force, with which it starts although its key file is broken by now.
    """
    if find_spec(_FRAMEWORK) is None:  # it is loaded later
        raise ModuleNotFoundError(f"No module named {_FRAMEWORK!r}", name=_FRAMEWORK)
    return Application(
        settings, logger=logger, parent=parent, is_successor=is_successor, last_keys=last_keys
    )


class Application:
    """The ASGI application."""

    def __init__(
        self,
        settings: Settings,
        *,
        logger: Any = None,
        parent: int | None = None,
        is_successor: bool = False,
        has_hot_paths: bool = True,
        last_keys: LastKeys | None = None,
    ) -> None:
        """``has_hot_paths``: False has the framework answer everything. The others: as above."""
        self._settings: Final = settings
        self._mail: Final = make_sender(settings)
        if not is_successor:
            _check_page(settings)
        self._logger: Final = logger or make_logger(settings.log_format)
        self._keys: Final = (
            None
            if settings.managed_keys
            else ReloadedKeys(
                settings.key_file(), self._logger, last_keys, check=partial(check_keys, settings)
            )
        )
        self._config: Final = settings.session_config(self._keys.ring if self._keys else None)
        self._check: Final = load_check(settings.password_check)
        self._parent: Final = parent
        self._has_hot_paths: Final = has_hot_paths
        self._authorizing: Final = AuthzSetup.of(
            settings, self._config, self._logger, may_be_broken=is_successor
        )
        self._monitoring: Final = Monitoring(settings, parent)
        self._tracing: Tracing | None = None
        self._requests: Final = RequestCounts()
        self._guard: Final = RequestGuard(
            self._route,
            settings,
            logger=self._logger,
            requests=self._requests,
            judges_itself=PREFIX,
        )
        self._leaving: Final = Leaving()
        self._service: Service | None = None
        self._hot: Mapping[str, App] = {}
        self._authorize: App = self._pass_on
        self._framework: asyncio.Future[App] | None = None
        self._changes: ChangeNotes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http":
            if self._leaving.has_begun:
                send = self._leaving.closing(scope, send)
            if self._tracing is not None:
                await self._tracing.serve(self._serve, scope, receive, send)
            elif self._guard.is_open_to(scope):
                handle = self._hot.get(scope["path"]) or self._handler_of(scope["path"])
                await handle(scope, receive, send)
            else:
                await self._guard(scope, receive, send)
        elif scope["type"] == "lifespan":
            await run_lifespan(self.running(), receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._guard.is_open_to(scope):
            await self._handler_of(scope["path"])(scope, receive, send)
        else:
            await self._guard(scope, receive, send)

    @property
    def config(self) -> Config:
        """The configuration of the sessions, with the keys of the start."""
        return self._config

    @property
    def service(self) -> Service:
        """The state that the calls share, while the application is running."""
        assert self._service is not None
        return self._service

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store, and close it at the end."""
        if self._parent:
            self._leaving.heed()
        settings, config = self._settings, self._config
        store_url = settings.full_store_url()
        async with AsyncSessionManager.from_url(store_url, config) as manager:
            followed = None
            if self._keys is None:
                followed = FollowedKeys(manager, self._logger)
                config = replace(config, keys=await followed.begin())
                self._authorizing.replace_keys(config.keys)
            authenticator = make_authenticator(settings, manager, self._check)
            proxy_cookies = ProxyCookies.of(settings, config)
            gate = PageGate(config, settings.web(), proxy_cookies)
            jwks = config.keys.public_jwks()
            devices = KnownDevices(
                config.keys,
                config.shared_secrets,
                secure=settings.cookie_secure,
                path=settings.page_path,
            )
            bodies = self._body_reader(gate)
            self._tracing = self._monitoring.tracing(manager, self._requests)
            service = Service(
                settings,
                manager,
                authenticator,
                jwks,
                gate,
                devices,
                bodies,
                self._mail,
                proxy_cookies,
                self._requests,
                self._tracing,
                HandOvers.of(settings, config),
            )
            self._service = service
            changes = await self._note_changes(service, config.keys)
            front_door = self._authorizing.open(service, self._logger)
            self._authorize = front_door
            if self._has_hot_paths:
                self._hot = hot_routes(service, self._logger, self._pass_on)
            keys = self._keys or followed
            assert keys is not None
            keys.told = changes.keys_kept
            if self._keys is not None:
                self._keys.catch_up(self._replace_keys)
            tasks = [
                asyncio.create_task(StoreOutageLog(manager, self._logger).watch()),
                asyncio.create_task(keys.watch(self._replace_keys)),
                asyncio.create_task(self._authorizing.watch()),
            ]
            exporting = self._monitoring.tasks(service, self._logger)
            if self._parent:
                tasks.append(asyncio.create_task(exit_with_parent(self._parent)))
            try:
                async with self._authorizing.listening(front_door, service, self._logger):
                    yield
            finally:
                for task in (*tasks, *exporting):
                    task.cancel()
                if exporting:  # the files and the address are left in order
                    await asyncio.wait(exporting)
                if self._framework is not None:
                    with suppress(Exception):  # who needed the framework was told
                        await self._framework
                    self._framework = None
                await changes.wait()
                await authenticator.close()
                if self._tracing is not None:
                    await self._tracing.close()

    async def _note_changes(self, service: Service, keys: KeyRing) -> ChangeNotes:
        """Note how this worker begins, and from now on what changes; return what notes it."""
        self._changes = changes = ChangeNotes(service)
        await changes.started(keys, self._authorizing.loaded)
        self._authorizing.tell(changes.policy_read)
        return changes

    def _replace_keys(self, keys: KeyRing) -> None:
        """Go on with ``keys``; raise ConfigurationError, and change nothing, if they are unfit."""
        self._settings.require_signer(keys)
        # What else is secret stays as it was read: a file of it may be gone, or hold the next one.
        config = replace(self._config, keys=keys)
        self._authorizing.replace_keys(keys)
        self.service.replace_keys(config)
        if self._changes is not None:
            self._changes.keys_changed(keys)

    def _body_reader(self, gate: PageGate) -> BodyReader:
        def client_of(scope: Scope) -> str:
            return counted_address(address_by(gate.settings.networks, scope) or "")

        settings = self._settings
        return BodyReader(
            seconds=settings.body_timeout, most_slow=settings.slow_bodies, client_of=client_of
        )

    def _handler_of(self, path: str) -> App:
        handle = self._hot.get(path)
        if handle is None:
            handle = self._authorize if path.startswith(PREFIX) else self._pass_on
        return handle

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler_of(scope["path"])(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._framework is None:
            loading = asyncio.to_thread(_load_framework, self.service, self._logger)
            self._framework = asyncio.ensure_future(loading)
        framework = await asyncio.shield(self._framework)
        await framework(scope, receive, send)


def _check_page(settings: Settings) -> None:
    """Raise ConfigurationError if a file of the operator's for the page is of no use."""
    if settings.login_enabled and (settings.page_logo or settings.page_templates):
        from clusterpass.service.page.template_environments import Pages  # noqa: PLC0415 (templates take memory)

        Pages.of(settings)


def _load_framework(service: Service, logger: Any) -> App:
    from clusterpass.service.fastapi_app import build_framework  # noqa: PLC0415 (it is slow)

    return build_framework(service, logger)
