"""The state of the Quart extension in one application: session manager, gate and throttle."""

import inspect
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Final

from quart import current_app, g, request

from clusterpass.integrations.async_base import AsyncBase
from clusterpass.integrations.quart_requests import current_visit
from clusterpass.managers.aio.manager import AsyncSessionManager
from clusterpass.model.errors import ConfigurationError
from clusterpass.web.gate import Needs

if TYPE_CHECKING:
    from clusterpass.integrations.quart import ClusterPass

EXTENSION: Final = "clusterpass"
"""The name of the extension in ``app.extensions``."""


class Extension(AsyncBase):
    """The state of the extension in one application."""

    def __init__(
        self, owner: "ClusterPass", sessions: AsyncSessionManager | None, values: dict[str, Any]
    ) -> None:
        super().__init__(sessions, **values)
        self.owner: Final = owner
        self.setup: Final = self._setup
        self.log_in: Final = self._log_in
        self.deliver: Final = self._deliver
        self.count_attempt: Final = self._count_attempt
        self.login_failed: Final = self._login_failed
        self.acting: Final = self._acting
        self.attach: Final = self._attached
        self.event_bytes: Final = self._event_bytes
        self.make_csrf_token: Final = self._csrf_token

    async def serve(self) -> AsyncGenerator[None]:
        """Open the manager, and close it when the application stops."""
        self.open()
        yield
        await self.close()

    async def admit(self, needs: Needs) -> None:
        """Admit the current request or WebSocket; raises what ``Gate.admit`` does."""
        session = await self._admit(current_visit(), needs, await self.form_token())
        load = self.owner._load_user
        if load is not None and inspect.iscoroutinefunction(load):
            g._clusterpass_user = await load(session)

    async def form_token(self) -> str:
        """Return the CSRF token in a submitted form, if it can only be there; else empty."""
        if not self._reads_form(current_visit().request):
            return ""
        value: str = (await request.form).get(self.gate.settings.csrf_field, "")
        return value


def extension_here() -> Extension:
    """Return what is kept for the current application.

    Raises ConfigurationError when :meth:`ClusterPass.init_app` was not called.
    """
    extension: Extension | None = current_app.extensions.get(EXTENSION)
    if extension is None:
        raise ConfigurationError("the extension was not initialised: call ClusterPass().init_app")
    return extension
