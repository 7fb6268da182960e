"""The command ``clusterpass demo``: start a cluster and two servers, run the scenario, print it."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

import click

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.demo.scenario import Scenario, Step
from clusterpass.cli.exit_status import ExitStatus
from clusterpass.cli.local_setup import free_port, generate_password, write_keys
from clusterpass.cli.service_child import ServerProcess

_ISSUER = "https://demo.clusterpass.example"
_USERNAME = "alice"
_NODE_TIMEOUT_SECONDS = 1.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the steps as JSON instead of text.")
def demo(as_json: bool) -> None:
    """Watch sessions survive a crash and a failover.

    The demo starts a cluster of six Valkey nodes and two servers on 127.0.0.1 and logs a user in.
    Then it kills a server and the node that holds the session, logs the user out, and checks that
    the session stays revoked on both servers. It takes less than a minute and leaves nothing
    behind.

    The exit status is 0 if every step is answered as expected, and 1 if one is not.
    """
    folder = Path(tempfile.mkdtemp(prefix="clusterpass-demo-"))
    try:
        steps = _run(folder, quiet=as_json)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    held = all(step.held for step in steps)
    if as_json:
        click.echo(json.dumps({"held": held, "steps": [s.as_dict() for s in steps]}, indent=2))
    else:
        verdict = (
            "Every step was answered as expected."
            if held
            else "At least one step was NOT answered as expected."
        )
        click.secho(f"\n{verdict}", fg="green" if held else "red", bold=True)
    sys.exit(ExitStatus.DONE if held else ExitStatus.FAILED)


def _run(folder: Path, *, quiet: bool) -> list[Step]:
    def say(text: str) -> None:
        if not quiet:
            click.echo(text)

    say("Starting a cluster of three primaries and three replicas, and two servers ...")
    keys_file = folder / "keys.json"
    write_keys(keys_file)
    password = generate_password()
    steps = []
    with EmbeddedCluster(
        nodes=6, data_folder=folder / "cluster", node_timeout=_NODE_TIMEOUT_SECONDS
    ) as cluster:
        config = Config(issuer=_ISSUER, keys=KeyRing.load(keys_file))
        with SessionManager.from_url(cluster.url, config) as sessions:
            UserDirectory(sessions).add(_USERNAME, password)
            sessions_key = sessions.store.keyspace.sessions(_USERNAME)
        settings = {
            "CLUSTERPASS_STORE_URL": cluster.url,
            "CLUSTERPASS_KEYS_FILE": str(keys_file),
            "CLUSTERPASS_ISSUER": _ISSUER,
        }
        first = ServerProcess("A", free_port(), settings, folder / "server-a.log")
        second = ServerProcess("B", free_port(), settings, folder / "server-b.log")
        try:
            first.start()
            second.start()
            say(f"Server A listens on port {first.port}, server B on port {second.port}.\n")
            scenario = Scenario(cluster, first, second, _USERNAME, password, sessions_key)
            for number, step in enumerate(scenario.steps(), start=1):
                steps.append(step)
                say(_lines(number, step))
        finally:
            first.stop()
            second.stop()
    return steps


def _lines(number: int, step: Step) -> str:
    mark = click.style("ok", fg="green") if step.held else click.style("FAILED", fg="red")
    lines = [
        f"{number:2}. {click.style(step.title, bold=True)}",
        f"    action    {step.asked}",
        f"    result    {step.answered}   ({step.seconds * 1000:.0f} ms, {mark})",
    ]
    if not step.held:
        lines.append(f"    expected  {step.expected}")
    return "\n".join(lines)
