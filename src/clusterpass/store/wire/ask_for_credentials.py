"""Asks a source of credentials from within an event loop."""

import asyncio
import inspect
from typing import Any

from clusterpass.store.credentials import (
    Credentials,
    CredentialSource,
    PasswordFile,
    is_asynchronous,
    read_given,
    source_unavailable,
)


async def ask_for_credentials(source: CredentialSource, seconds: float) -> Credentials:
    """Ask ``source``; one that blocks runs in a thread. ``seconds``: how long to wait.

    Raises StoreUnavailable, with the cause ``authentication``.
    """
    failure: str
    try:
        async with asyncio.timeout(seconds):
            return read_given(await _given(source))
    except TimeoutError:
        failure = "did not answer in time"
    except Exception as error:  # noqa: BLE001 (whatever the application's function raises)
        failure = f"failed: {type(error).__name__}"
    raise source_unavailable(failure)


async def _given(source: CredentialSource) -> Any:
    given: Any
    if isinstance(source, PasswordFile):
        given = source()
    else:
        given = source() if is_asynchronous(source) else await asyncio.to_thread(source)
    return await given if inspect.isawaitable(given) else given
