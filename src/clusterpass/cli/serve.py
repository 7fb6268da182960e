"""``clusterpass serve``: run the auth service."""

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from clusterpass.cli.help_epilog import examples
from clusterpass.cli.store_connection import config_option

_LOADED_LATE: Final = ("argon2", "fastapi", "jinja2", "python_multipart", "structlog")
"""Packages that a worker may load with its first requests."""


@click.command(
    epilog=examples("clusterpass serve --config clusterpass.toml --port 8000 --workers 4")
)
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="TCP port to listen on.  [default: 8000]")
@click.option("--workers", type=int, help="Number of worker processes.  [default: 1]")
def serve(config: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Run the auth service until it is stopped with SIGTERM or Ctrl-C.

    An option here overrides the environment (CLUSTERPASS_PORT=8000), which overrides the TOML
    file. The other settings come from those two; docs/reference/settings.md lists them all.
    """
    for package in _LOADED_LATE:
        if find_spec(package) is None:  # say so now, not from a worker
            raise ModuleNotFoundError(f"no module {package}", name=package)
    from clusterpass.service.server import serve as run_server  # noqa: PLC0415 - quick --help
    from clusterpass.service.settings.loading import load_settings  # noqa: PLC0415

    settings = load_settings(config, {"host": host, "port": port, "workers": workers})
    several = "s" if settings.workers > 1 else ""

    def announce() -> None:
        with suppress(OSError):  # a full disk of the log is no reason not to serve
            click.echo(
                f"clusterpass: listening on http://{settings.host}:{settings.port}"
                f" with {settings.workers} worker{several}",
                err=True,
            )

    run_server(settings, announce=announce, becomes_small=True)
