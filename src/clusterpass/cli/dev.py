"""``clusterpass dev``: a real cluster, the auth service and two users, from one command.

Every file goes into one data folder and is created anew at each start. Press Ctrl-C to stop
everything.
"""

import socket
import threading
from pathlib import Path

import click

from clusterpass import Config, EmbeddedCluster, KeyRing, SessionManager, UserDirectory
from clusterpass.cli.help_epilog import examples
from clusterpass.cli.local_setup import generate_password, write_keys
from clusterpass.cli.service_child import await_condition, is_healthy
from clusterpass.model.errors import ConfigurationError

_USERNAME = "demo"
_ADMINISTRATOR = "admin"


@click.command(epilog=examples("clusterpass dev --port 8080"))
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="TCP port of the service.",
)
@click.option(
    "--nodes",
    default=6,
    show_default=True,
    type=click.IntRange(1, 30),
    help="Number of Valkey servers: 1 for a standalone server, at least 3 for a cluster.",
)
@click.option(
    "--data",
    "data_folder",
    default=".clusterpass/dev",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for keys and cluster data; overwritten at each start.",
)
def dev(port: int, nodes: int, data_folder: Path) -> None:
    """Run a local cluster and the auth service together, for development.

    Both listen on 127.0.0.1. A user and an administrator are created with new passwords, which are
    printed together with commands to try. Ctrl-C stops everything; no data survives a restart.
    """
    from clusterpass.service.server import serve  # noqa: PLC0415 - loaded by this command alone
    from clusterpass.service.settings.loading import make_settings  # noqa: PLC0415

    _refuse_taken_port(port)
    keys_file = data_folder / "keys.json"
    write_keys(keys_file)
    what = "a standalone Valkey server" if nodes == 1 else f"a Valkey cluster of {nodes} nodes"
    click.echo(f"Starting {what} ...")
    with EmbeddedCluster(nodes=nodes, data_folder=data_folder / "cluster") as cluster:
        issuer = f"http://127.0.0.1:{port}"
        passwords = {name: generate_password() for name in (_USERNAME, _ADMINISTRATOR)}
        config = Config(issuer=issuer, keys=KeyRing.load(keys_file))
        with SessionManager.from_url(cluster.url, config) as sessions:
            for name, password in passwords.items():
                UserDirectory(sessions).add(name, password)
        settings = make_settings(
            {
                "store_url": cluster.url,
                "keys_file": keys_file,
                "issuer": issuer,
                "host": "127.0.0.1",
                "port": port,
                "cookie_secure": False,
                "administrators": (_ADMINISTRATOR,),
                "log_format": "console",
            }
        )
        portal = settings.portal
        page = f"{issuer}{settings.page_prefix}" if portal is None else portal.url
        announcement = _announcement(issuer, page, passwords, cluster)
        threading.Thread(target=_announce, args=(port, announcement), daemon=True).start()
        serve(settings)
    click.echo("Stopped the service and the cluster.")


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise ConfigurationError(
                f"port {port} on 127.0.0.1 is taken by another program; choose another with --port"
            ) from None


def _announce(port: int, announcement: str) -> None:
    await_condition(
        lambda: is_healthy(port),
        seconds=60,
        failure=f"the service on port {port} did not start within 60 s",
    )
    click.echo(announcement)


def _announcement(
    address: str, page: str, passwords: dict[str, str], cluster: EmbeddedCluster
) -> str:
    password = passwords[_USERNAME]
    ports = ", ".join(str(node.port) for node in cluster.nodes)
    login = f'{{"username": "{_USERNAME}", "password": "{password}", "device": "terminal"}}'
    return f"""
ClusterPass is running at {address} (cluster nodes on ports {ports})

    user      {_USERNAME}
    password  {password}

    administrator  {_ADMINISTRATOR}
    password       {passwords[_ADMINISTRATOR]}

Open {page}/ in a browser (as {_ADMINISTRATOR} also {page}/page/online), or paste this
into a shell:

    ANSWER=$(curl -s {address}/login -H 'Content-Type: application/json' -d '{login}')
    TOKEN=$(printf %s "$ANSWER" | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
    curl -sw '\\n' {address}/hello    -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/verify   -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/sessions -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/history  -H "Authorization: Bearer $TOKEN"
    curl -sw '\\n' {address}/logout   -H "Authorization: Bearer $TOKEN" -X POST
    curl -sw '\\n' {address}/verify   -H "Authorization: Bearer $TOKEN"

Press Ctrl-C to stop everything.
"""
