"""The group of all commands; it loads each when it is used, and lists them without loading any."""

from collections.abc import Mapping
from importlib import import_module

import click


class LazyGroup(click.Group):
    """A group that knows its commands by the names of their modules."""

    def __init__(self, commands: Mapping[str, tuple[str, str]]) -> None:
        """``commands``: name -> (module, what it is for)."""
        super().__init__("clusterpass", help="Sessions on a Redis / Valkey Cluster.")
        self._lazy = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, sorted."""
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, loaded now; None when there is none of that name."""
        if cmd_name not in self._lazy:
            return None
        command: click.Command = getattr(import_module(self._lazy[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from what is known of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._lazy[name][1]) for name in sorted(self._lazy)])


def make_group(commands: Mapping[str, tuple[str, str]], *, version: str) -> click.Group:
    """The group; ``version`` is printed by ``--version``."""
    group = LazyGroup(commands)
    return click.version_option(version, prog_name="clusterpass")(group)
