"""``python -m benchmarks.apps.serve_app NAME PORT`` serves an app and counts its SQL statements.

Each statement appends a byte to the file that the variable ``SQL_COUNT`` names, so the size of the
file is the number of statements of all processes.
"""

import importlib
import importlib.util
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from benchmarks.apps.additions import ADDITIONS
from benchmarks.apps.candidates import ROOT, Candidate, find

_FREE = ("BEGIN", "PRAGMA", "SAVEPOINT", "RELEASE")
"""Travel with the statement after them, or are of SQLite alone."""


def main() -> None:
    """Serve until the process is ended."""
    candidate, port = find(sys.argv[1]), int(sys.argv[2])
    _count_sql(os.environ["SQL_COUNT"])
    names = vars(_load(candidate))
    if add := ADDITIONS.get(candidate.name):
        add(names)
    app = names["app"]
    if candidate.server == "wsgi":
        from werkzeug.serving import make_server

        make_server("127.0.0.1", port, app, threaded=True).serve_forever()
    elif candidate.server == "aiohttp":
        from aiohttp import web

        web.run_app(app, host="127.0.0.1", port=port, print=None)
    else:
        import uvicorn

        uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def _load(candidate: Candidate) -> Any:
    """The module of the app; Django looks it up by its name."""
    path = Path(candidate.sources[0])
    if not candidate.ours:
        return importlib.import_module(".".join(path.with_suffix("").parts))
    spec = importlib.util.spec_from_file_location(candidate.name, ROOT / path)
    if spec is None or spec.loader is None:
        raise RuntimeError(f"{path} is no module")
    module = sys.modules[candidate.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _count_sql(path: str) -> None:
    """Count from now on, on every connection that opens."""
    counter = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    connect = sqlite3.dbapi2.connect

    def count(statement: str) -> None:
        if not statement.lstrip().upper().startswith(_FREE):
            os.write(counter, b"x")

    def counting(*args: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*args, **options)
        connection.set_trace_callback(count)
        return connection

    sqlite3.connect = sqlite3.dbapi2.connect = counting  # type: ignore[assignment]


if __name__ == "__main__":
    main()
