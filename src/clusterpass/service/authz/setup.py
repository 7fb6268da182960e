"""The setup of the front door: what is read once, before a worker starts, and its handler."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from clusterpass import (
    Config,
    ConfigurationError,
    KeyRing,
)
from clusterpass.service.authz.handler import FrontDoor
from clusterpass.service.authz.policy import Policies
from clusterpass.service.authz.reload import ReloadedPolicies
from clusterpass.service.calls.worker_state import Service
from clusterpass.service.hot.responder import Responder
from clusterpass.service.settings.service import Settings

if TYPE_CHECKING:
    from clusterpass.service.authz.assertion import Assertions


@dataclass(frozen=True, slots=True)
class AuthzSetup:
    """The validated settings of the front door."""

    policies: ReloadedPolicies | None
    assertions: "Assertions | None"
    grpc_address: str | None

    @classmethod
    def of(
        cls, settings: Settings, config: Config, logger: Any, *, may_be_broken: bool = False
    ) -> Self:
        """Read the policy file. Raises ConfigurationError when it is broken, or the keys unfit.

        ``logger``: is told when the file has changed. ``may_be_broken``: start without rules then,
        which lets nobody in.
        """
        if settings.authz_grpc_address is not None:
            _require_grpc()
        # Each module is loaded where the settings ask for it alone: a worker stays small.
        policies = assertions = None
        if settings.authz_policy is not None:
            from clusterpass.service.authz.policy_file import load_policies  # noqa: PLC0415

            load = partial(
                load_policies, levels=settings.levels, most_grace=settings.authz_most_grace
            )
            policies = ReloadedPolicies(
                settings.authz_policy, load, logger, may_be_broken=may_be_broken
            )
        if settings.authz_assertion:
            from clusterpass.service.authz.assertion import Assertions  # noqa: PLC0415

            assertions = Assertions(config.keys, config.issuer)
        return cls(policies, assertions, settings.authz_grpc_address)

    @property
    def loaded(self) -> Policies | None:
        """The rules that were read last; None: there are none."""
        return None if self.policies is None else self.policies.loaded

    async def watch(self) -> None:
        """Follow the policy file, until the task is cancelled; there may be none."""
        if self.policies is not None:
            await self.policies.watch()

    def tell(self, told: Callable[[Policies | None, str], None]) -> None:
        """Have ``told`` called with the rules of a changed file, or None and what is wrong."""
        if self.policies is not None:
            self.policies.told = told

    def replace_keys(self, keys: KeyRing) -> None:
        """Sign assertions with ``keys``; raise ConfigurationError where these are unfit for it."""
        if self.assertions is not None:
            self.assertions.replace_keys(keys)

    def open(self, service: Service, logger: Any) -> FrontDoor:
        """Return the handler of a worker. ``logger``: as for the other paths."""
        current = None if self.policies is None else self.policies.current
        return FrontDoor(service, Responder(logger, service.requests), current, self.assertions)

    @asynccontextmanager
    async def listening(
        self, door: FrontDoor, service: Service, logger: Any
    ) -> AsyncIterator[None]:
        """Answer by gRPC as well, where the settings say so. ``door``: who judges."""
        if self.grpc_address is None:
            yield
            return
        from clusterpass.service.authz.grpc_server import Authorization, serving  # noqa: PLC0415

        async with serving(Authorization(door, service, logger), self.grpc_address):
            yield


def check_keys(settings: Settings, keys: KeyRing) -> None:
    """Return if the service can work with ``keys``; raise ConfigurationError if not."""
    config = settings.session_config(keys)
    if settings.authz_assertion:
        from clusterpass.service.authz.assertion import Assertions  # noqa: PLC0415 (as above)

        Assertions(config.keys, config.issuer)


def _require_grpc() -> None:
    """Load what gRPC needs, so that the workers share it; raise ConfigurationError without it."""
    try:
        import clusterpass.service.authz.grpc_server  # noqa: F401, PLC0415
    except ImportError as error:
        raise ConfigurationError(
            f"authz_grpc_address needs packages that are missing ({error.name}); install them with:"
            ' pip install "clusterpass[envoy]"'
        ) from None
