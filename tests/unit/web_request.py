"""A request that an integration would hand in."""

from collections.abc import Mapping, Sequence


class FakeRequest:
    """The values of a request, as :class:`clusterpass.web.messages.WebRequest`."""

    def __init__(
        self,
        method: str = "GET",
        target: str = "/page",
        *,
        host: str = "shop.example",
        peer: str | None = "192.0.2.7",
        headers: Mapping[str, str | Sequence[str]] | None = None,
        cookies: Mapping[str, str] | None = None,
        query: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.method, self.target, self.host, self.peer = method, target, host, peer
        self._headers = {
            name.lower(): [value] if isinstance(value, str) else list(value)
            for name, value in (headers or {}).items()
        }
        if cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in cookies.items())
            self._headers["cookie"] = [pairs]
        self._query = dict(query or {})

    def header(self, name: str) -> Sequence[str]:
        return self._headers.get(name, [])

    def query(self, name: str) -> Sequence[str]:
        return self._query.get(name, [])
