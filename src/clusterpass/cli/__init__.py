"""The command line: ``clusterpass COMMAND``.

- A command's module is imported when the command is used: making keys loads no web framework.
- What is foreseen is one sentence on the standard error and exit status 1; no traceback.
- Where the output cannot hold a character, its escape is written.
"""

import io
import sys
from typing import Final, NoReturn

from clusterpass import __version__
from clusterpass.model.errors import ClusterPassError, RevocationPending

_COMMANDS: Final = {
    "bans": ("clusterpass.cli.bans", "Ban subjects, lift and list bans."),
    "claims": ("clusterpass.cli.claims", "Show and change live claims."),
    "cluster": ("clusterpass.cli.cluster", "Start, stop and show a local cluster."),
    "demo": ("clusterpass.cli.demo.command", "Show what ClusterPass does, on this machine."),
    "dev": ("clusterpass.cli.dev", "Run a local cluster and the auth service together."),
    "doctor": ("clusterpass.cli.doctor", "Look at a deployment: what would break a promise?"),
    "keys": ("clusterpass.cli.keys", "Make and publish signing keys."),
    "serve": ("clusterpass.cli.serve", "Run the auth service."),
    "sessions": ("clusterpass.cli.sessions", "List, show and revoke sessions."),
    "users": ("clusterpass.cli.users", "Add, list, disable and enable users."),
}
"""The module of each command, which holds it under the command's name, and what it is for."""
_MISSING: Final = 'pip install "clusterpass[server]"'


def main() -> None:
    """The entry point of the console script; ends the process with the command's status."""
    try:
        import click  # noqa: PLC0415 (it is no dependency of the library)

        from clusterpass.cli.group import make_group  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        _fail(f"the command line needs click; install it with: {_MISSING}", 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = make_group(_COMMANDS, version=__version__).main(
            prog_name="clusterpass", standalone_mode=False
        )
    except click.exceptions.Abort:
        _fail("stopped", 130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RevocationPending:
        _fail(
            "it is not confirmed: a replica is missing, or the store cannot be reached; run the"
            " command again",
            1,
        )
    except ClusterPassError as error:
        _fail(error.message, 1)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "clusterpass":
            raise
        _fail(f"this command needs {error.name}; install it with: {_MISSING}", 1)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(sentence: str, status: int) -> NoReturn:
    sys.stderr.write(f"clusterpass: {' '.join(sentence.split())}\n")
    sys.exit(status)
