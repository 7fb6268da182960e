"""``clusterpass dev``: a real cluster, the service and two users, from one command.

Everything it makes lies in its data folder and is made anew at each start; Ctrl-C ends it all.
"""

import socket
import threading
from pathlib import Path

import click

from clusterpass.cli.local_servers import await_condition, generate_password, is_healthy, write_keys
from clusterpass.config import Config
from clusterpass.embedded import EmbeddedCluster
from clusterpass.managers.sync.manager import SessionManager
from clusterpass.model.errors import ConfigurationError
from clusterpass.tokens.keyring import KeyRing
from clusterpass.users.sync.directory import UserDirectory

_USERNAME = "demo"
_ADMINISTRATOR = "admin"


@click.command()
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--nodes", default=6, show_default=True, type=click.IntRange(1, 30))
@click.option(
    "--data",
    "data_folder",
    default=".clusterpass/dev",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where all its files go.",
)
def dev(port: int, nodes: int, data_folder: Path) -> None:
    """Start a local cluster and the service on 127.0.0.1, with a user and an administrator."""
    from pydantic import SecretStr  # noqa: PLC0415 (the service's dependencies, only here)

    from clusterpass.service.server import serve  # noqa: PLC0415 (only here is it needed)
    from clusterpass.service.settings.service import Settings  # noqa: PLC0415

    _refuse_taken_port(port)
    keys_file = data_folder / "keys.json"
    write_keys(keys_file)
    click.echo(f"Starting a Valkey cluster of {nodes} nodes ...")
    with EmbeddedCluster(nodes=nodes, data_folder=data_folder / "cluster") as cluster:
        issuer = f"http://127.0.0.1:{port}"
        passwords = {name: generate_password() for name in (_USERNAME, _ADMINISTRATOR)}
        config = Config(issuer=issuer, keys=KeyRing.load(keys_file))
        with SessionManager.from_url(cluster.url, config) as sessions:
            for name, password in passwords.items():
                UserDirectory(sessions).add(name, password)
        settings = Settings(
            store_url=SecretStr(cluster.url),
            keys_file=keys_file,
            issuer=issuer,
            host="127.0.0.1",
            port=port,
            cookie_secure=False,
            administrators=(_ADMINISTRATOR,),
            log_format="console",
        )
        announcement = _announcement(issuer, passwords, cluster)
        threading.Thread(target=_announce, args=(port, announcement), daemon=True).start()
        serve(settings)
    click.echo("Stopped: the service and every node of the cluster.")


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ConfigurationError(
                f"Port {port} on 127.0.0.1 is taken; choose another: make run PORT={port + 1}"
            ) from None


def _announce(port: int, announcement: str) -> None:
    await_condition(
        lambda: is_healthy(port), seconds=60, failure=f"The service on port {port} did not start"
    )
    click.echo(announcement)


def _announcement(address: str, passwords: dict[str, str], cluster: EmbeddedCluster) -> str:
    password = passwords[_USERNAME]
    ports = ", ".join(str(node.port) for node in cluster.nodes)
    login = f'{{"username": "{_USERNAME}", "password": "{password}", "device": "terminal"}}'
    return f"""
ClusterPass is at {address}  (cluster nodes on ports {ports})

    user      {_USERNAME}
    password  {password}

    administrator  {_ADMINISTRATOR}
    password       {passwords[_ADMINISTRATOR]}

Try it: open {address} in a browser (as {_ADMINISTRATOR} also {address}/page/online), or paste

    ANSWER=$(curl -s {address}/login -H 'Content-Type: application/json' -d '{login}')
    TOKEN=$(printf %s "$ANSWER" | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
    curl -sw '\\n' {address}/hello    -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/verify   -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/sessions -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/history  -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/logout   -H "Authorization: Bearer $TOKEN" -X POST
    curl -sw '\\n' {address}/verify   -H "Authorization: Bearer $TOKEN"

Ctrl-C stops everything.
"""
