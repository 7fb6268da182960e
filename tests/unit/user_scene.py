"""The user directory without a server: a store that answers from memory, as the scripts would."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

from clusterpass.model.counters import Counters
from clusterpass.protocol.keyspace import Keyspace
from clusterpass.protocol.script import Answer, ScriptCall
from clusterpass.tokens.identifiers import encode_session_id
from clusterpass.users.aio.directory import AsyncUserDirectory
from clusterpass.users.aio.throttle import AsyncLoginThrottle
from clusterpass.users.passwords import PasswordHasher
from clusterpass.users.sync.directory import UserDirectory
from clusterpass.users.sync.throttle import LoginThrottle

KEYSPACE = Keyspace("app")
LIGHT = PasswordHasher(memory_kib=8)
SESSION_ID = encode_session_id(b"session-id-of-16")
PASSWORD, HASH = "correct horse", LIGHT.hash("correct horse")
ALICE = [HASH.encode(), b"0", 1000]
NOBODY = [b"", b"0", 0]
PAIR = SimpleNamespace(session_id=SESSION_ID)
CONFIG = SimpleNamespace(levels=("1", "2"))
OTHER_HASH = LIGHT.hash("another one").encode()
SAME_PASSWORD = LIGHT.hash(PASSWORD).encode()
SESSION = SimpleNamespace(subject="alice", session_id=SESSION_ID, act=None)
NEW = "battery staple"


class Scene:
    """Requests in order, and the replies to them: a list for each script.

    The last reply of a list is repeated. ``asked`` has the calls of the store and of the sessions.
    """

    def __init__(self, **replies: list[Any]) -> None:
        self.replies: dict[str, list[Any]] = {
            "count_attempt": [0],
            "forget_attempts": [0],
            "return_attempt": [0],
            "user_find": [ALICE],
            "user_add": [b"OK"],
            "user_change": [b"OK"],
            "user_remove": [1],
            "link_make": [[b"OK", 5000]],
            "link_check": [1],
            "link_use": [1],
            **replies,
        }
        self.asked: list[Any] = []
        self.ended: Any = "ended"
        self.is_durable = True
        self.keys: list[bytes] = []

    def answer(self, flow: Iterator[Any]) -> Any:
        try:
            call = next(flow)
            while True:
                call = flow.send(self._reply(call))
        except StopIteration as stop:
            return stop.value

    def _reply(self, call: ScriptCall[Any]) -> Answer[Any]:
        self.asked.append((call.script.name, call.keys, call.arguments))
        left = self.replies[call.script.name]
        reply = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reply, BaseException):
            raise reply
        return Answer(call.read(reply), durable=self.is_durable)

    def scripts(self) -> list[str]:
        """The names of what was asked."""
        return [asked[0] for asked in self.asked]

    def note(self, verb: str, answer: Any = None) -> Any:
        def method(*positional: Any, **named: Any) -> Any:
            self.asked.append((verb, positional, named))
            return answer

        return method

    def note_async(self, verb: str, answer: Any = None) -> Any:
        noted = self.note(verb, answer)

        async def method(*positional: Any, **named: Any) -> Any:
            return noted(*positional, **named)

        return method


class Threads:
    """The synchronous face."""

    directory, throttle = UserDirectory, LoginThrottle

    def sessions(self, scene: Scene) -> Any:
        return SimpleNamespace(
            store=SimpleNamespace(
                keyspace=KEYSPACE,
                run=scene.answer,
                scan_names=lambda pattern: iter(scene.note("scan", scene.keys)(pattern)),
            ),
            counters=Counters(),
            audit=SimpleNamespace(trail=None),
            generation=scene.note("generation", 7),
            login=scene.note("login", PAIR),
            login_failed=scene.note("login_failed"),
            revoke=scene.note("revoke"),
            revoke_all=scene.note("revoke_all", scene.ended),
            elevate=scene.note("elevate", PAIR),
            erase=scene.note("erase", "erased"),
            export=scene.note("export", {"subject": "alice"}),
            config=CONFIG,
        )

    def run(self, outcome: Any) -> Any:
        return outcome


class Loop:
    """The asynchronous face."""

    directory, throttle = AsyncUserDirectory, AsyncLoginThrottle

    def sessions(self, scene: Scene) -> Any:
        async def run(flow: Any) -> Any:
            return scene.answer(flow)

        async def scan(pattern: str) -> AsyncIterator[bytes]:
            for key in scene.note("scan", scene.keys)(pattern):
                yield key

        return SimpleNamespace(
            store=SimpleNamespace(keyspace=KEYSPACE, run=run, scan_names=scan),
            counters=Counters(),
            audit=SimpleNamespace(trail=None),
            generation=scene.note_async("generation", 7),
            login=scene.note_async("login", PAIR),
            login_failed=scene.note_async("login_failed"),
            revoke=scene.note_async("revoke"),
            revoke_all=scene.note_async("revoke_all", scene.ended),
            elevate=scene.note_async("elevate", PAIR),
            erase=scene.note_async("erase", "erased"),
            export=scene.note_async("export", {"subject": "alice"}),
            config=CONFIG,
        )

    def run(self, outcome: Any) -> Any:
        return asyncio.run(outcome) if inspect.isawaitable(outcome) else outcome


def opened(face: Any, scene: Scene, **options: Any) -> Any:
    return face.directory(face.sessions(scene), hasher=LIGHT, **options)


def arguments_of(scene: Scene, script: str) -> list[Any]:
    return [asked[2] for asked in scene.asked if asked[0] == script]


FACES = (Threads, Loop)
