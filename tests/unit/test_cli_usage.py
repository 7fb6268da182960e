"""Wrong usage of the command line: exit status 2 and the error message."""

import pytest
from click.testing import CliRunner

from clusterpass import __version__
from clusterpass.cli import COMMANDS
from clusterpass.cli.group import make_group


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["dev", "--nodes", "0"], "0 is not in the range 1<=x<=30"),
        (["dev", "--nodes", "31"], "31 is not in the range 1<=x<=30"),
        (["dev", "--nodes", "x"], "'x' is not a valid integer"),
        (["dev", "--port", "0"], "0 is not in the range 1<=x<=65535"),
        (["dev", "--port", "65536"], "65536 is not in the range 1<=x<=65535"),
        (["nothing"], "No such command 'nothing'"),
        (["users", "add"], "Missing argument 'NAME'"),
        (["sessions", "revoke"], "Missing argument"),
        (["bans", "add", "alice", "--scope", ""], "'--scope': it is empty"),
        (["doctor", "--store", ""], "'--store': it is empty"),
        (["audit", "check", "--head", ""], "'--head': it is empty"),
        (["users", "invite", "alice", "--send-to", ""], "'--send-to': it is empty"),
        (["sessions", "list", ""], "'[SUBJECT]': it is empty"),
        (["doctor", "--watch", "--interval", "inf"], "inf is not in the range 0.1<=x<=86400"),
        (["doctor", "--watch", "--interval", "nan"], "nan is not a finite number"),
        (["capacity", "--users", "9", "--sessions", "inf"], "inf is not in the range"),
        (["capacity", "--users", "9", "--logins", "nan"], "nan is not a finite number"),
        (["capacity", "--users", "9" * 400], "is not in the range"),
        (["cluster", "start", "--node-timeout", "nan"], "nan is not a finite number"),
    ],
)
def test_wrong_usage_has_the_status_2_and_says_why(arguments: list[str], saying: str) -> None:
    group = make_group(COMMANDS, version=__version__)
    outcome = CliRunner().invoke(group, arguments, prog_name="clusterpass")
    assert outcome.exit_code == 2
    assert saying in outcome.output
