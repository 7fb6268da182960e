"""Makes a gRPC stub or channel of a test send metadata with every call.

Stubs and channels are recognised by their attributes, so gRPC need not be installed.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

_METADATA: Final = "_clusterpass_metadata"
_KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
_PLACE: Final = 2
"""Where ``metadata`` is among the positional arguments of a call."""


class _Method:
    """A method of a server, as its client calls it, with metadata."""

    def __init__(self, method: Any, always: dict[str, str]) -> None:
        self._method = method
        self._always = always

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(self._method, arguments, options)

    def with_call(self, *arguments: Any, **options: Any) -> Any:
        """Call the method, and return the response and the call."""
        return self._call(self._method.with_call, arguments, options)

    def future(self, *arguments: Any, **options: Any) -> Any:
        """Call the method, and return the response in a future."""
        return self._call(self._method.future, arguments, options)

    def _call(
        self, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        if len(arguments) > _PLACE:
            before, own, after = arguments[:_PLACE], arguments[_PLACE], arguments[_PLACE + 1 :]
            return call(*before, self._metadata(own), *after, **options)
        own = options.pop("metadata", None)
        return call(*arguments, metadata=self._metadata(own), **options)

    def _metadata(self, own: Iterable[tuple[str, Any]] | None) -> tuple[tuple[str, Any], ...]:
        """Return the metadata of a call; what is its ``own`` comes first."""
        pairs = [(each[0], each[1]) for each in own or ()]
        given = {key.lower() for key, _ in pairs}
        return (*pairs, *(each for each in self._always.items() if each[0] not in given))


def is_grpc(client: Any) -> bool:
    """Return whether ``client`` is a stub or a channel of gRPC, sync or async."""
    return _is_channel(client) or any(map(_is_method, _attributes(client).values()))


def metadata_of(client: Any) -> dict[str, str]:
    """Return the metadata that ``client`` sends with every call, which the caller may change.

    A channel sends them with the calls of the methods and stubs that are made of it from now on.
    """
    known: dict[str, str] | None = _attributes(client).get(_METADATA)
    if known is not None:
        return known
    always: dict[str, str] = {}
    if _is_channel(client):
        for kind in _KINDS:
            setattr(client, kind, _making(getattr(client, kind), always))
    else:
        for name, value in [*_attributes(client).items()]:
            if _is_method(value):
                setattr(client, name, _Method(value, always))
    setattr(client, _METADATA, always)
    return always


def _making(make: Callable[..., Any], always: dict[str, str]) -> Callable[..., _Method]:
    def make_method(*arguments: Any, **options: Any) -> _Method:
        return _Method(make(*arguments, **options), always)

    return make_method


def _is_channel(client: Any) -> bool:
    return all(callable(getattr(client, kind, None)) for kind in _KINDS)


def _is_method(value: Any) -> bool:
    return isinstance(value, _Method) or type(value).__name__.endswith("MultiCallable")


def _attributes(client: Any) -> dict[str, Any]:
    found: dict[str, Any] = getattr(client, "__dict__", {})
    return found
