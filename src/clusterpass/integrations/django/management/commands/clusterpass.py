"""``manage.py clusterpass sessions NAME`` and ``manage.py clusterpass kick NAME``."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from clusterpass.integrations.django.conf import installed


class Command(BaseCommand):
    """Sessions of this application's users."""

    help = "List or end the sessions of a user, on every server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the arguments."""
        parser.add_argument("action", choices=["sessions", "kick"])
        parser.add_argument("name", help="what the user logs in with")
        parser.add_argument("--subject", action="store_true", help="NAME is the subject itself")

    def handle(self, *_: Any, action: str, name: str, subject: bool, **__: Any) -> None:
        """List the sessions, or end them."""
        here = installed()
        owner = name if subject else self._subject(name)
        if action == "kick":
            self.stdout.write(f"{here.sessions.revoke_all(owner).count} sessions ended")
            return
        for session in here.sessions.sessions(owner):
            self.stdout.write(f"{session.session_id}  {session.device or '-'}")

    def _subject(self, name: str) -> str:
        model: Any = get_user_model()
        try:
            user = model._default_manager.get(**{model.USERNAME_FIELD: name})
        except model.DoesNotExist:
            raise CommandError(f"there is no user {name!r}; --subject: NAME is a subject") from None
        return installed().subject_of(user)
