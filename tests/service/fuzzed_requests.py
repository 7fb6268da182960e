"""Requests that no honest client sends, drawn from a seed: the bytes of each, ready to be sent."""

import json
from random import Random
from typing import Any, Final

SECRET: Final = "s3cr3t"
"""Stands in every value that must not appear in a log."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(" "))


_METHODS: Final = _words(
    "GET GET POST POST POST PUT PATCH DELETE HEAD OPTIONS TRACE CONNECT FOO get"
)
_PATHS: Final = _words(
    "/ /verify /login /refresh /step-up /logout /healthz /readyz /hello /sessions /history"
    " /.well-known/jwks.json /openapi.json /admin/sessions /admin/online /admin/bans"
    " /admin/history /admin/claims /admin/revoke /admin/impersonate /page/login /page/logout"
    " /page/confirm /page/online /page/subject /page/page.css /page/subject/ban"
    " /page/subject/impersonate /page/subject/erase /page/subject/export /page/language /page/logo"
    " /page/sessions/revoke-others /page/sessions/AAAA/revoke"
    " /sessions/AAAAAAAAAAAAAAAAAAAAAA * http://x/verify"
)
_ODD_PARTS: Final = _words(
    "%2F %5C %00 %ff %F0%9F%98%80 .. . // %2e%2e %0d%0a {} [] ;a=b @ : \\ %zz % ? # é \u2028"
)
_ODD_TEXTS: Final = (
    "",
    "alice",
    "root",
    "null",
    "\x00",
    "\ud800",
    "\U0001f600",
    "{{7*7}}",
    "' OR 1=1--",
    "\u202e",
    "a" * 300,
    "-1",
    "1e999",
    "../../etc/passwd",
    "<script>",
    "\ufdfa" * 80,
)
_FIELDS: Final = _words(
    "username password device device_type remember replace refresh_token subject session_id reason"
    " scope level for_seconds until claims keep before idle_lifetime absolute_lifetime name act"
    " kind minutes form_token limit cursor verification outage_grace max_auth_age not_banned"
    " ban_level"
)
_NAMES: Final = frozenset({"subject", "username", "name"})
"""Fields with the names of users, which are no secrets."""
_HEADERS: Final = _words(
    "Idempotency-Key X-Device-Token X-Forwarded-For X-Forwarded-Proto Origin Sec-Fetch-Site Accept"
    " User-Agent Upgrade Expect Access-Control-Request-Method If-None-Match Range"
    " X-Forwarded-Method"
)
_NUMBERS: Final = (0, -1, 1, 2**31, 2**53 + 1, 2**64, 10**400, 1e308, 0.5, float("nan"))
_TYPES: Final = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
    "",
    ";;;",
)


class OddRequests:
    """Draws requests; the same seed gives the same ones."""

    def __init__(self, seed: int, tokens: list[str]) -> None:
        """``tokens``: access tokens of live sessions, which some requests carry."""
        self._random: Final = Random(seed)
        self._tokens: Final = tokens

    def draw(self) -> bytes:
        """Return the bytes of one request, which says that the connection is to be closed."""
        head = [f"{self._pick(_METHODS)} {self._target()} HTTP/1.1".encode("utf-8", "replace")]
        head += self._host() + self._headers()
        framing, body = self._body()
        head += [*framing, b"Connection: close"]
        return b"\r\n".join(head) + b"\r\n\r\n" + body

    def _pick(self, choices: Any) -> Any:
        return self._random.choice(choices)

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _target(self) -> str:
        path = self._pick(_PATHS)
        if self._happens(0.25):
            path += self._pick(["/", ""]) + self._pick(_ODD_PARTS) + self._pick(["", "/x"])
        if self._happens(0.05):
            path += "/" + SECRET + "x" * 60  # as long as a token: the log cuts it
        path = path.partition("?")[0].partition("#")[0].replace(" ", "")
        if self._happens(0.4):
            pairs = [
                f"{self._pick(_FIELDS)}={self._pick(['', '1', '%00', '%ff', SECRET, 'x' * 600])}"
                for _ in range(self._random.randrange(1, 4))
            ]
            path += "?" + self._pick(["&", ";"]).join(pairs)
        return path

    def _host(self) -> list[bytes]:
        if self._happens(0.9):
            return [b"Host: x"]
        return self._pick([[], [b"Host: "], [b"Host: x", b"Host: y"], [b"Host: [::1"]])

    def _headers(self) -> list[bytes]:
        headers = []
        if self._happens(0.5):
            token = self._pick([*self._tokens, f"{SECRET}.{SECRET}.{SECRET}", SECRET, "", "a b"])
            scheme = self._pick(["Bearer", "Bearer", "bearer", "Basic", "DPoP", ""])
            headers += [f"Authorization: {scheme} {token}"] * self._pick([1, 1, 1, 2])
        if self._happens(0.3):
            name = self._pick(["access", "refresh", "device", "remember", "notice"])
            value = self._pick([*self._tokens, SECRET, "", '"', "a=b", "x" * 5000])
            odd = self._pick(["", "\xa0", "\x85", "\x1c", "\t"])
            cookie = f"{odd}__Host-clusterpass-{name}={value}"
            headers.append("Cookie: " + "; ".join([cookie] * self._pick([1, 2])))
        if self._happens(0.4):
            name = self._pick(_HEADERS)
            values = [SECRET, "", "x" * 3000, "same-origin", "https://x", "1.2.3.4, ::1", "\xff"]
            headers.append(f"{name}: {self._pick([*values, '100-continue', 'websocket', 'h2c'])}")
        return [each.encode("latin-1", "replace") for each in headers]

    def _body(self) -> tuple[list[bytes], bytes]:
        content = self._pick([self._json, self._json, self._form, self._bytes, bytes])()
        kind = self._pick(_TYPES[:2] if self._happens(0.7) else _TYPES)
        typed = [f"Content-Type: {kind}".encode()] if kind else []
        framing = self._random.random()
        if framing < 0.75:
            return [*typed, b"Content-Length: %d" % len(content)], content
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content) if content else b"0\r\n\r\n"
        chunked = [*typed, b"Transfer-Encoding: chunked"]
        if framing < 0.85:
            return chunked, chunks
        broken = [
            (chunked, b"ZZ\r\n" + content),
            (chunked, b"-1\r\n\r\n"),
            (chunked, b"ffffffffffffffffff\r\n"),
            ([*chunked, b"Content-Length: 3"], chunks),
            ([*typed, b"Content-Length: abc"], content),
            ([*typed, b"Content-Length: 1", b"Content-Length: 2"], b"{}"),
            ([*typed, b"Content-Length: 99999999"], b""),
            (typed, b""),
        ]
        if self._happens(0.02):  # a body that never ends
            broken.append(([*typed, b"Content-Length: %d" % (len(content) + 9)], content))
        return self._pick(broken)

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.randrange(200)) * self._pick([1, 1, 1, 500])

    def _form(self) -> bytes:
        pairs = [
            f"{self._pick(sorted({*_FIELDS} - _NAMES))}={self._pick(['', '%ff', SECRET, '%', '+'])}"
            for _ in range(self._random.randrange(12))
        ]
        return "&".join(pairs).encode()

    def _json(self) -> bytes:
        members = {self._pick(_FIELDS): self._value(2) for _ in range(self._random.randrange(5))}
        members |= {name: "alice" for name in members if name in _NAMES and self._happens(0.7)}
        members = {
            name: "root" if name in _NAMES and SECRET in str(value) else value
            for name, value in members.items()
        }
        text = json.dumps(self._pick([members, members, members, self._value(3)]))
        if self._happens(0.1):
            text = text[: self._random.randrange(len(text) + 1)]
        if self._happens(0.02):
            text = "[" * 20_000
        return text.encode("utf-8", "surrogatepass")

    def _value(self, depth: int) -> Any:
        kind = self._random.randrange(6 if depth else 4)
        if kind == 0:
            return self._pick(_NUMBERS)
        if kind == 1:
            return self._pick([None, True, False])
        if kind in {2, 3}:
            return self._pick([*_ODD_TEXTS, SECRET])
        if kind == 4:
            return [self._value(depth - 1) for _ in range(self._random.randrange(4))]
        return {self._pick(_ODD_TEXTS): self._value(depth - 1) for _ in range(3)}
