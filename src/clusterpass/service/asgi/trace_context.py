"""The trace context of a request, and the interface of the tracer that makes its spans."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final, Protocol

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
TRACE_IDS: Final[ContextVar[Mapping[str, str]]] = ContextVar("clusterpass-trace", default=_NONE)
"""The fields of the line in the log; none where nothing is traced."""


class Traces(Protocol):
    """Makes spans of requests."""

    def span(
        self, method: str, headers: Iterable[tuple[bytes, bytes]], route: str | None = None
    ) -> AbstractContextManager[Any]:
        """Return the context in which a request is served.

        ``headers``: those of the request, in lower case; they name the trace that it belongs to.
        ``route``: a path as a pattern; None: not known yet.
        """
