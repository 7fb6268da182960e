"""``manage.py clusterpass sessions NAME`` and ``manage.py clusterpass kick NAME``."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _, ngettext

from clusterpass.integrations.django.conf import installed


class Command(BaseCommand):
    """Sessions of this application's users."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Describe the arguments."""
        parser.description = _("List or end the sessions of a user, on every server.")
        parser.add_argument("action", choices=["sessions", "kick"])
        parser.add_argument("name", help=_("what the user logs in with"))
        parser.add_argument("--subject", action="store_true", help=_("NAME is the subject itself"))

    def handle(self, *args: Any, action: str, name: str, subject: bool, **options: Any) -> None:
        """List the sessions, or end them."""
        here = installed()
        owner = name if subject else self._subject(name)
        if action == "kick":
            count = here.sessions.revoke_all(owner).count
            text = ngettext("%(count)d session ended", "%(count)d sessions ended", count)
            self.stdout.write(text % {"count": count})
            return
        for session in here.sessions.sessions(owner):
            self.stdout.write(f"{session.session_id}  {session.device or '-'}")

    def _subject(self, name: str) -> str:
        model: Any = get_user_model()
        try:
            user = model._default_manager.get(**{model.USERNAME_FIELD: name})
        except model.DoesNotExist:
            text = _("there is no user %(name)r; --subject: NAME is a subject")
            raise CommandError(text % {"name": name}) from None
        return installed().subject_of(user)
