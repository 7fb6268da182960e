"""The site of ``web_sites`` in Django and Channels: a program, as its settings are of a process.

It reads requests from its standard input, and writes answers, one JSON value on each line.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .web_asked import Answer, Ask, Headers, asked_by_wsgi
from .web_sites import CONFIG, AsyncSessions, Sessions


@contextmanager
def in_django(sessions: Sessions, settings: dict[str, Any]) -> Iterator[Ask]:
    """Start the program. The method WEBSOCKET is a handshake, which Channels answers."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, json.dumps(settings)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        lines = program.stdin, program.stdout

        def ask(method: str, target: str, headers: Headers, body: bytes) -> Answer:
            request = [method, target, list(headers), body.decode("latin-1")]
            print(json.dumps(request), file=lines[0], flush=True)
            status, found, text, opened = json.loads(lines[1].readline())
            sessions.opened.extend(opened)
            return Answer(status, [(name, value) for name, value in found], text.encode("latin-1"))

        yield ask
        program.stdin.close()


def main() -> None:
    sessions, asked = Sessions(), configure(json.loads(sys.argv[1]))
    from clusterpass.integrations.django.conf import installed

    installed()._sessions = sessions  # type: ignore[assignment]
    installed()._async_sessions = AsyncSessions()  # type: ignore[assignment]
    for line in sys.stdin:
        method, target, headers, body = json.loads(line)
        sent = (target, [(name, value) for name, value in headers], body.encode("latin-1"))
        answer = handshake(*sent[:2]) if method == "WEBSOCKET" else asked(method, *sent)
        text, opened = answer.body.decode("latin-1"), sessions.opened
        print(json.dumps([answer.status, answer.headers, text, opened]), flush=True)
        sessions.opened = []


def configure(settings: dict[str, Any]) -> Ask:
    import django
    from django.conf import settings as of_django
    from django.core.wsgi import get_wsgi_application

    ours = {"STORE_URL": "redis://x", "ISSUER": CONFIG.issuer, "KEYS": CONFIG.keys}
    of_django.configure(
        SECRET_KEY="secret",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF="tests.unit.django_urls",
        MIDDLEWARE=[
            "django.middleware.csrf.CsrfViewMiddleware",
            "clusterpass.integrations.django.middleware.ClusterPassMiddleware",
        ],
        CLUSTERPASS={**ours, **{name.upper(): value for name, value in settings.items()}},
    )
    django.setup()
    return asked_by_wsgi(get_wsgi_application())


def handshake(target: str, headers: Headers) -> Answer:
    from clusterpass.integrations.channels import ClusterPassMiddleware

    path, _, query = target.partition("?")
    scope = {
        "type": "websocket",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    answer = Answer()

    async def consumer(scope: Any, _: Any, __: Any) -> None:
        session = scope["clusterpass_session"]
        answer.status = 403 if session is None else 101
        answer.body = b"" if session is None else session.subject.encode()

    async def nothing(*_: Any) -> None:
        return None

    asyncio.run(ClusterPassMiddleware(consumer)(scope, nothing, nothing))
    return answer


if __name__ == "__main__":
    main()
