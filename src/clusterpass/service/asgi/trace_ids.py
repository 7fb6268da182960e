"""Which trace the request belongs to that is being served, for the log."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

_NONE: Final[Mapping[str, str]] = MappingProxyType({})
TRACE_IDS: Final[ContextVar[Mapping[str, str]]] = ContextVar("clusterpass-trace", default=_NONE)
"""The fields of the line in the log; none where nothing is traced."""
