"""The exit statuses of all commands, with a description of each."""

from enum import IntEnum
from typing import Final


class ExitStatus(IntEnum):
    """The exit statuses of the commands. The numbers are stable."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO = 3
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitStatus.DONE: "done; what was checked is in order",
    ExitStatus.FAILED: "an error, which standard error says in a sentence; or what was checked is"
    " not in order (`audit check`, `doctor`, `config check`, `authz test`, `cluster status`,"
    " `demo`)",
    ExitStatus.USAGE: "wrong usage: an unknown command or option, an argument that is missing, or a"
    " value that is not one of those in the help; also the deployment cannot be inspected"
    " (`doctor`). A value that a setting, the library or the store refuses, such as a time that is"
    " none, is an error (1)",
    ExitStatus.NO: "the answer is no: the request is not allowed (`authz explain`), the subject"
    " is banned (`bans check`)",
    ExitStatus.INTERRUPTED: "Ctrl-C, or a question answered with no",
}
"""What each status says, for the documentation."""
