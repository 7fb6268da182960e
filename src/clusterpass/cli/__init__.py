"""The ``clusterpass`` command line: its entry point, and how errors reach the user.

What is where:

- ``__init__``: ``main``, the table of commands, and the exit status of every error. All exit
  statuses are in ``exit_status``.
- ``group``: the root group; it imports the module of a command when that command runs.
- ``audit``, ``authz``, ``bans``, ``capacity``, ``claims``, ``cluster``, ``completion``,
  ``config``, ``dev``, ``doctor``, ``keys``, ``migration``, ``serve``, ``sessions``, ``users``: one
  module per command.
  ``demo`` is a package.
- ``capacity_model``: the estimates of ``capacity``.
- ``doctor_watch``: ``clusterpass doctor --watch``.
- ``store_connection``: the ``--config`` option, and the session manager it opens.
- ``output``: JSON, tables and text that is safe to print. ``session_output``: a session, printed.
- ``time_arguments``: times and durations as the user types them.
- ``value_types``: texts that are not empty, and finite numbers.
- ``help_epilog``: the examples at the end of a help page.
- ``local_setup`` and ``service_child``: the service that ``dev`` and ``demo`` run on this machine.

Rules of this package:

- Only the module of the command that runs is imported: ``clusterpass keys`` loads no web framework.
- An expected error is one sentence on standard error and exit status 1, without a traceback.
- A character that the output's encoding cannot represent is printed as an escape sequence.
"""

import errno
import io
import os
import sys
from typing import Any, Final, NoReturn

from clusterpass import __version__
from clusterpass.cli.exit_status import ExitStatus
from clusterpass.model.errors import ClusterPassError, RevocationPending, StoreUnavailable

COMMANDS: Final = {
    "audit": ("clusterpass.cli.audit", "Read, export and check the audit trail."),
    "authz": ("clusterpass.cli.authz", "Explain and test the access policy of proxies."),
    "bans": ("clusterpass.cli.bans", "Ban subjects, lift bans, list bans."),
    "capacity": ("clusterpass.cli.capacity", "Reckon what a number of users needs."),
    "claims": ("clusterpass.cli.claims", "Show and replace the live claims of a subject."),
    "cluster": ("clusterpass.cli.cluster", "Start, inspect and stop a cluster on this machine."),
    "completion": (
        "clusterpass.cli.completion",
        "Complete commands and options in bash, zsh and fish.",
    ),
    "config": ("clusterpass.cli.config", "Show and check the settings of the service."),
    "demo": ("clusterpass.cli.demo.command", "Watch sessions survive a crash and a failover."),
    "dev": ("clusterpass.cli.dev", "Run a local cluster and the auth service together."),
    "doctor": ("clusterpass.cli.doctor", "Check a deployment for problems and risks."),
    "keys": (
        "clusterpass.cli.keys",
        "Generate and import signing keys, and export their public part.",
    ),
    "migration": ("clusterpass.cli.migration", "Show what became of another library's tokens."),
    "serve": ("clusterpass.cli.serve", "Run the auth service."),
    "sessions": ("clusterpass.cli.sessions", "List, inspect and revoke sessions."),
    "users": ("clusterpass.cli.users", "Manage the users of the built-in directory."),
}
"""Each command's module, which defines an object of the command's name, and its one-line help."""
_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_STDOUT: Final = 1
_MISSING: Final = 'pip install "clusterpass[server]"'


def main() -> None:
    """Run the command line and exit the process with the command's status.

    The exit status is one of :class:`~clusterpass.cli.exit_status.ExitStatus`.
    """
    try:
        import click  # noqa: PLC0415 - the library itself does not depend on click

        from clusterpass.cli.group import make_group  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        _fail(
            f"the command line needs the package click; install it with: {_MISSING}",
            ExitStatus.FAILED,
        )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = make_group(COMMANDS, version=__version__).main(
            prog_name="clusterpass",
            standalone_mode=False,
            color=False if os.environ.get("NO_COLOR") else None,  # https://no-color.org
        )
    except click.exceptions.Abort:
        _fail("aborted", ExitStatus.INTERRUPTED)
    except click.ClickException as error:
        _tell(error)
    except RevocationPending:
        _fail(
            "the revocation is not confirmed: no replica acknowledged it, or the store cannot be"
            " reached; run the command again",
            ExitStatus.FAILED,
        )
    except StoreUnavailable as error:
        _fail(_of_the_store(error), ExitStatus.FAILED)
    except ClusterPassError as error:
        _fail(error.message, ExitStatus.FAILED)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        # What was not written is given up: otherwise the interpreter tries again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STDOUT)
        where = error.filename or "standard output"
        _fail(f"{where} cannot be written: {error.strerror}", ExitStatus.FAILED)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "clusterpass":
            raise
        _fail(
            f"this command needs the package {error.name}; install it with: {_MISSING}",
            ExitStatus.FAILED,
        )
    sys.exit(int(status) if isinstance(status, int) else int(ExitStatus.DONE))


def _tell(error: Any) -> NoReturn:
    """Say what the ClickException ``error`` says, and after wrong usage how to use it; exit."""
    if hasattr(error, "ctx"):  # of wrong usage
        error.show()
        sys.exit(error.exit_code)
    _fail(error.format_message(), error.exit_code)


def _of_the_store(error: StoreUnavailable) -> str:
    """What users are told, and for the operator, who runs the command, which node and why."""
    if error.cause == "rights":
        return error.describe()
    is_known = error.node or error.cause or error.tried
    return f"{error.message} ({error.describe()})" if is_known else error.message


def _fail(sentence: str, status: int) -> NoReturn:
    sys.stderr.write(f"clusterpass: {' '.join(sentence.split())}\n")
    sys.exit(int(status))
