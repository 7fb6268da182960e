"""The root click group, which imports a command only when it runs, and none to list them."""

from collections.abc import Mapping
from importlib import import_module

import click
from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A click group whose commands are imported on first use."""

    def __init__(self, commands: Mapping[str, tuple[str, str]]) -> None:
        """``commands``: the module and the one-line help of each command, by its name."""
        super().__init__(
            "clusterpass", help="Distributed JWT sessions on a Redis or Valkey Cluster."
        )
        self._lazy = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, sorted."""
        return sorted(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``, imported now; None if there is none."""
        if cmd_name not in self._lazy:
            return None
        command: click.Command = getattr(import_module(self._lazy[cmd_name][0]), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that ``args`` begin with, as click does; called by click.

        An unknown command is refused with the names that are alike.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(
                error.command_name, possibilities=self._lazy, ctx=ctx
            ) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin with ``incomplete``, without importing any, and the options."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=self._lazy[name][1]) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands with their one-line help, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._lazy[name][1]) for name in sorted(self._lazy)])


def make_group(commands: Mapping[str, tuple[str, str]], *, version: str) -> click.Group:
    """The root group over ``commands``; ``--version`` prints ``version``."""
    group = LazyGroup(commands)
    return click.version_option(version, prog_name="clusterpass")(group)
