"""``clusterpass serve``: run the auth service."""

from pathlib import Path

import click

from clusterpass.service.server import serve as run_server
from clusterpass.service.settings.service import load_settings


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A TOML file with settings; without it CLUSTERPASS_CONFIG names one, or there is none.",
)
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=int, help="The TCP port to listen on.")
@click.option("--workers", type=int, help="Worker processes.")
def serve(config: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the auth service until it is told to stop (SIGTERM, Ctrl-C).

    Every setting can also come from the environment (CLUSTERPASS_PORT=8000) or from the file.
    """
    settings = load_settings(config, {"host": host, "port": port, "workers": workers})
    several = "s" if settings.workers > 1 else ""

    def announce() -> None:
        click.echo(
            f"clusterpass: listening on http://{settings.host}:{settings.port}"
            f" with {settings.workers} worker{several}",
            err=True,
        )

    run_server(settings, announce=announce)
