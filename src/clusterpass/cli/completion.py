"""``clusterpass completion``: completes commands and options in bash, zsh and fish."""

import os
from pathlib import Path
from typing import Final, Literal

import click
from click.shell_completion import get_completion_class

from clusterpass.cli.help_epilog import examples
from clusterpass.model.errors import ConfigurationError

Shell = Literal["bash", "zsh", "fish"]
_PROGRAM: Final = "clusterpass"
_VARIABLE: Final = "_CLUSTERPASS_COMPLETE"
_PLACES: Final[dict[Shell, tuple[str, str, str]]] = {
    "bash": ("XDG_DATA_HOME", ".local/share", "bash-completion/completions/clusterpass"),
    "zsh": ("XDG_DATA_HOME", ".local/share", "zsh/site-functions/_clusterpass"),
    "fish": ("XDG_CONFIG_HOME", ".config", "fish/completions/clusterpass.fish"),
}
"""For each shell: the variable of a base folder, its default below home, and the file in it."""


@click.command(
    epilog=examples(
        "clusterpass completion bash --install",
        "clusterpass completion zsh > /usr/local/share/zsh/site-functions/_clusterpass",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option(
    "--install", is_flag=True, help="Write the script where SHELL finds it, for this user alone."
)
def completion(shell: Shell, install: bool) -> None:
    """Print the script with which SHELL completes commands and options.

    With --install, it is written to where bash (with the package bash-completion) and fish look by
    themselves. For zsh, add the folder that is printed to fpath in ~/.zshrc, before compinit. No
    file of yours is changed.
    """
    script = _script(shell)
    if not install:
        click.echo(script)
        return
    path = _place(shell)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script, "utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Wrote {path}.")
    if shell == "zsh":
        click.echo("Put this into ~/.zshrc, before compinit:")
        click.echo(f"    fpath=({path.parent} $fpath)")
    click.echo("Open a new shell to use it.")


def _script(shell: Shell) -> str:
    kind = get_completion_class(shell)
    assert kind is not None
    complete = kind(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # `source` of bash asks the bash of this machine for its version, which is not the user's.
    return complete.source_template % complete.source_vars()


def _place(shell: Shell) -> Path:
    variable, default, file = _PLACES[shell]
    base = os.environ.get(variable)
    folder = Path(base) if base and Path(base).is_absolute() else Path.home() / default
    return folder / file
