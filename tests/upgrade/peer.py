"""One server of a deployment, as a program: carries out calls of a session manager.

Runs with either release, so it uses only what both have. Reads a JSON array of a name and arguments
from each line of standard input, and answers with a line: ``{"answer": ...}`` or ``{"error": class,
"reason": ..., "message": ...}``. Its arguments: URL of the store, key file, JSON of more settings.
"""

import json
import sys
from typing import Any

import clusterpass
from clusterpass import (
    ClusterPassError,
    Config,
    KeyRing,
    PasswordHasher,
    SessionEvent,
    SessionManager,
    UserDirectory,
)
from clusterpass.web.csrf import CsrfTokens


class Peer:
    """The calls, each of which returns plain JSON."""

    def __init__(self, url: str, keys: str, settings: dict[str, Any]) -> None:
        """Open a manager."""
        given = {"issuer": "https://auth.example", "audience": "api", **settings}
        ring = KeyRing.load(keys)
        self.manager = SessionManager.from_url(url, Config(keys=ring, **given))
        self.users = UserDirectory(self.manager, hasher=PasswordHasher(memory_kib=32))
        self.forms = CsrfTokens(ring)
        self._heard: list[tuple[str, str]] = []

    def home(self) -> str:
        """Return the path of the installed package."""
        return str(clusterpass.__file__)

    def login(self, subject: str, **options: Any) -> dict[str, str]:
        return self._pair(self.manager.login(subject, **options))

    def refresh(self, token: str) -> dict[str, str]:
        return self._pair(self.manager.refresh(token))

    def verify(self, token: str, mode: str = "cached") -> dict[str, Any]:
        session = self.manager.verify(token, verification=mode)
        return {"subject": session.subject, "id": session.session_id, "acr": session.acr}

    def claims(self, token: str) -> dict[str, Any]:
        return dict(self.manager.verify(token).claims)

    def set_claims(self, subject: str, claims: dict[str, Any]) -> int:
        return self.manager.claims.set(subject, claims).count

    def logout(self, token: str) -> int:
        return self.manager.logout(token).count

    def revoke(self, subject: str, session_id: str) -> int:
        return self.manager.revoke(subject, session_id).count

    def revoke_all(self, subject: str) -> int:
        return self.manager.revoke_all(subject).count

    def revoke_before(self) -> int:
        return self.manager.revoke_before().time

    def ban(self, subject: str, reason: str) -> None:
        self.manager.bans.add(subject, reason=reason)

    def lift(self, subject: str) -> None:
        self.manager.bans.lift(subject)

    def bans(self, subject: str) -> list[str]:
        return [each.reason for each in self.manager.bans.list(subject)]

    def elevate(self, token: str, level: str, **options: Any) -> dict[str, str]:
        session = self.manager.verify(token)
        return self._pair(self.manager.elevate(session, level, for_seconds=600, **options))

    def sessions(self, subject: str) -> list[dict[str, Any]]:
        return [
            {"id": each.session_id, "active_at": each.active_at, "expires_at": each.expires_at}
            for each in self.manager.sessions(subject)
        ]

    def history(self, subject: str) -> list[str]:
        return [each.kind for each in self.manager.history(subject)]

    def listen(self) -> None:
        """Hear of what happens on every server."""

        @self.manager.on(scope="cluster")
        def hear(event: SessionEvent) -> None:
            self._heard.append((event.kind, event.subject))

    def heard(self, subject: str) -> list[str]:
        return [kind for kind, whose in self._heard if whose == subject]

    def end_by_operation(self, subject: str, operation: str) -> int:
        return self.manager.revoke_all(subject, operation_id=operation).count

    def add_user(self, name: str, password: str) -> None:
        self.users.add(name, password)

    def set_password(self, name: str, password: str) -> int:
        return self.users.set_password(name, password).count

    def disable(self, name: str) -> int:
        return self.users.disable(name).count

    def log_in(self, name: str, password: str) -> dict[str, str]:
        return self._pair(self.users.login(name, password))

    def make_link(self, name: str) -> str:
        return self.users.make_link(name).token

    def invite(self, name: str) -> str:
        return self.users.invite(name).token

    def use_link(self, token: str, password: str) -> int:
        return self.users.use_link(token, password).count

    def form_token(self, session_id: str) -> str:
        return self.forms.make(session_id)

    def accept_form(self, session_id: str, token: str) -> None:
        self.forms.require(session_id, token)

    def close(self) -> None:
        self.manager.close()

    @staticmethod
    def _pair(pair: Any) -> dict[str, str]:
        return {
            "access": pair.access_token,
            "refresh": pair.refresh_token,
            "id": pair.session_id,
        }


def main() -> None:
    """Answer lines until there are no more."""
    url, keys, settings = sys.argv[1:]
    peer = Peer(url, keys, json.loads(settings))
    for line in sys.stdin:
        name, arguments, options = json.loads(line)
        try:
            said: dict[str, Any] = {"answer": getattr(peer, name)(*arguments, **options)}
        except ClusterPassError as error:
            reason = getattr(error, "reason", "")
            said = {"error": type(error).__name__, "reason": reason, "message": str(error)}
        print(json.dumps(said), flush=True)
    peer.close()


if __name__ == "__main__":
    main()
