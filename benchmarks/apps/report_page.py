"""Composes the page docs/why/apps.md from the measurements of all apps."""

import math
import platform
from collections.abc import Sequence

from benchmarks.apps import packages
from benchmarks.apps.measure import CHECKS, Measured
from benchmarks.apps.serving import REFRESH_GRACE
from benchmarks.report import markdown_row

COMMAND = "python -m benchmarks.apps"
_HEAD = f"""# The same app on ClusterPass and on other libraries

<!-- Made by: {COMMAND} -->

    {COMMAND}

A shop with a phone, a browser and an administrator, with roles, scopes and devices, is written on
ClusterPass in six frameworks, and in three of them on the library that many people reach for. The
command (after `pip install -e '.[dev,bench]'`) starts each app on two servers, visits it, tries
every check below, and writes this page. No cell is an opinion: each is what the app did.
"""
_SIZES = """## What it takes

- **Lines** have code on them: no blank lines, comments and docstrings. All apps are formatted
  alike.
- **Glue** is what is not the shop: every statement of a module but its imports, its users and its
  database, its pages, the settings that any Django project has, and the routes that sell. Token
  checks, cookies, tables of sessions, and routes to refresh, to log out and to list devices are
  glue. The rule is a program: [lines.py](../../benchmarks/apps/lines.py).
- **Packages** are what an installation of the library and of its store's driver brings, the
  framework among them.
- **A visit** is a login, ten requests, a refresh half-way and a logout everywhere. A client of
  the API refreshes in time; a browser finds its access token gone, and asks again after a refresh
  where the request itself did not renew it.
- **Round trips** are calls of scripts in the cluster, and statements of SQL (without `BEGIN`), of
  the user table of Django too. The others keep their sessions in a database, as their
  documentation shows. A login on ClusterPass limits how many passwords are tried, which takes six
  of its round trips; the other libraries have nothing for it.
- **Heard after** is the longest of five times from the answer to a logout of another device until
  a second server refused that device, an HTTP request included. Take it as an order of
  magnitude.
"""
_CHECKS = f"""## What works

**yes**: the app passed the check. *by hand*: it did so by code of its own, since the library has
nothing for it; that code is among its glue. **no**: it did not, and the note says what it did.
**-**: there is nothing that could be checked. The checks are in
[check_access.py](../../benchmarks/apps/check_access.py) and
[check_endings.py](../../benchmarks/apps/check_endings.py). The WebSocket and the route that asks
for a recent login are added to each app by [additions.py](../../benchmarks/apps/additions.py),
and are not among its lines. ClusterPass takes a refresh for a retry within {REFRESH_GRACE} seconds
here, and within 30 by default.
"""
_FAIRNESS = """## What would close gaps

- An app can do all of this by hand, and a library that leaves it to the app is smaller for it.
  The three have what their documentation shows and a table of sessions.
- **Flask-JWT-Extended** and **simplejwt** use a refresh token again and again, which is their
  default. A retry is safe then, and a stolen refresh token works until it expires. With rotation
  (an option of simplejwt, by hand in the other) a retry is refused.
- **Flask-JWT-Extended**: its documentation shows a callback that renews an access token which is
  about to expire, after each request. Further callbacks can set challenges and reasons. No store is
  needed at all if nothing is ever revoked before it expires.
- **fastapi-users** has one long token and no refresh, by design, so there is no retry that could go
  wrong. `fastapi-csrf-protect` or `starlette-csrf` bring CSRF. It also registers users over HTTP,
  verifies mail addresses and resets passwords, which ClusterPass leaves to the app.
- **simplejwt**: `dj-rest-auth` brings cookies, `django-allauth` lists the devices of Django's own
  sessions. The sessions are in the database that is there anyway; ClusterPass needs a cluster.
- **Wildcards, `no-store` and the challenges** are a few lines each by hand, in any of the three.
- **An outage** is an exception of the database in the three, and so a 500. An error handler makes
  it a 503.
"""


def page(measured: Sequence[Measured]) -> str:
    """The whole page."""
    notes = Notes()
    table = _checks(measured, notes)
    return (
        "\n".join(
            [
                _HEAD,
                _versions(measured),
                _SIZES,
                _sizes(measured),
                _CHECKS,
                table,
                str(notes),
                _FAIRNESS,
            ]
        ).rstrip("\n")
        + "\n"
    )


class Notes:
    """The notes below the table, numbered; equal notes share a number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of ``text``."""
        return self._numbers.setdefault(text, len(self._numbers) + 1)

    def __str__(self) -> str:
        lines = [f"{number}. {text}" for text, number in self._numbers.items()]
        return "\n".join(["Notes:", "", *lines, ""]) if lines else ""


def summary(measured: Measured) -> str:
    """Summarise an app in one line for a terminal."""
    failed = [
        f"{name}: {outcome.mark} ({outcome.detail})"
        for name, outcome in measured.outcomes.items()
        if outcome.mark != "yes"
    ]
    head = (
        f"{measured.candidate.name}: {measured.lines.app} lines, {measured.lines.glue} of glue, "
        f"{measured.packages} packages, {measured.passed} of {len(measured.outcomes)} checks; "
        f"round trips {measured.client.round_trips} and {measured.browser.round_trips}, "
        f"heard after {measured.heard_after * 1e3:.1f} ms"
    )
    return "\n  ".join([head, *failed])


def _versions(measured: Sequence[Measured]) -> str:
    lines = [f"Python {platform.python_version()}. The apps:", ""]
    for each in measured:
        app = each.candidate
        where = app.sources[0]
        lines.append(
            f"- {app.framework}, {app.library}: [{where}](../../{where}), "
            f"on {packages.versions((app.framework, *app.requirements))}"
        )
    return "\n".join([*lines, ""])


def _sizes(measured: Sequence[Measured]) -> str:
    columns = (
        *("app", "lines", "of them glue", "packages", "API client: requests", "round trips"),
        *("browser: requests", "round trips", "heard after, ms", "checks passed"),
    )
    rows = [
        (
            f"{each.candidate.framework}, {each.candidate.library}",
            str(each.lines.app),
            str(each.lines.glue),
            str(each.packages),
            str(each.client.requests),
            str(each.client.round_trips),
            str(each.browser.requests),
            str(each.browser.round_trips),
            str(math.ceil(each.heard_after * 1e3)),
            f"{each.passed} of {len(each.outcomes)}",
        )
        for each in measured
    ]
    return _table(columns, rows)


def _checks(measured: Sequence[Measured], notes: Notes) -> str:
    columns = (
        "check",
        *(f"{each.candidate.framework}, {each.candidate.library}" for each in measured),
    )
    rows = [
        (listed.says, *(_cell(each, name, notes) for each in measured))
        for name, listed in CHECKS.items()
    ]
    return _table(columns, rows)


def _cell(measured: Measured, name: str, notes: Notes) -> str:
    outcome = measured.outcomes[name]
    if outcome.mark == "yes":
        return "yes, *by hand*" if name in measured.candidate.by_hand else "yes"
    return f"{outcome.mark} [{notes.number(outcome.detail)}]"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [markdown_row(columns), "|---" * len(columns) + "|", *map(markdown_row, rows)]
    return "\n".join([*lines, ""])
