"""Audit entries about the keys, rules and settings that a worker loads or keeps.

A changed file that is not used is noted too, with the reason. Nothing waits until an entry is
written. The entries name no actor: the request that led to a look at a file need not come from the
person who changed it.
"""

import asyncio
import hashlib
import json
from contextvars import Context
from typing import Any, Final

from clusterpass import ConfigurationError, KeyRing, __version__
from clusterpass.service.authz.policy import Policies
from clusterpass.service.calls.worker_state import Service

_MOST_KIDS: Final = 20
_LONGEST_REASON: Final = 200


class ChangeNotes:
    """The entries of one worker; none where no trail is kept."""

    def __init__(self, service: Service) -> None:
        self._service: Final = service
        self._noting: set[asyncio.Future[None]] = set()

    async def started(self, keys: KeyRing, policies: Policies | None) -> None:
        """Note with which settings, keys and rules the worker begins."""
        settings = self._service.settings
        if not settings.audit:
            return
        text = json.dumps(settings.model_dump(mode="json", warnings=False), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]  # secrets are not in it
        details = {"version": __version__, "settings": digest, **_of_keys(keys)}
        if settings.authz_policy is not None:
            details["policy"] = None if policies is None else policies.digest
        await self._service.sessions.audit.note("worker_started", details=details)

    def keys_changed(self, keys: KeyRing) -> None:
        """Note that the worker goes on with ``keys``."""
        self._note("keys_changed", details=_of_keys(keys))

    def keys_kept(self, error: ConfigurationError) -> None:
        """Note that changed keys are not used, and why."""
        self._refused("keys_changed", error.message)

    def policy_read(self, policies: Policies | None, problem: str) -> None:
        """Note that the rules of authz_policy have changed; or that a changed file is not used, for
        ``problem``."""
        if policies is None:
            self._refused("policy_changed", problem)
        else:
            rules = len(policies.all_rules())
            self._note("policy_changed", details={"policy": policies.digest, "rules": rules})

    async def wait(self) -> None:
        """Wait until all entries are written."""
        if self._noting:
            await asyncio.wait(self._noting)

    def _refused(self, action: str, why: str) -> None:
        reason = why.encode()[:_LONGEST_REASON].decode(errors="ignore")
        self._note(action, outcome="refused", error=ConfigurationError.code, reason=reason)

    def _note(self, action: str, **about: Any) -> None:
        if not self._service.settings.audit:
            return
        note = self._service.sessions.audit.note(action, **about)
        task = asyncio.get_running_loop().create_task(note, context=Context())
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)


def _of_keys(keys: KeyRing) -> dict[str, Any]:
    kids = [key.kid for key in keys.all()]
    return {"signing": keys.signing_key.kid if keys.can_sign else None, "kids": kids[:_MOST_KIDS]}
