"""The line count of ``benchmarks.apps``: lines of code, and lines of session glue."""

from benchmarks.apps.candidates import CANDIDATES, ROOT
from benchmarks.apps.lines import Lines, count, count_source

SOURCE = '''"""A shop
on two lines."""

import os  # not glue

USERS = {
    "alice": "pw",  # a comment beside code

}
cp = ClusterPass(
    app,
)


# a comment alone
@app.get("/me")
def me():
    """Says who."""
    return """two
lines"""


@app.post("/logout")
def log_out():
    return cp.log_out()
'''


def test_lines_with_code_on_them_count_and_what_is_no_shop_is_glue():
    shop = 1 + 3 + 4
    glue = 3 + 3
    assert count_source(SOURCE) == Lines(shop + glue, glue)


def test_a_statement_about_cookies_or_tokens_is_glue():
    assert count_source("app.config.update(\n    SECURE=False,\n)\n") == Lines(3, 3)
    assert count_source("app.add_routes(routes)\n") == Lines(1, 0)
    assert count_source("app.add_routes(cp.routes())\n") == Lines(1, 1)


def test_every_app_has_sources_and_some_glue():
    for candidate in CANDIDATES:
        assert all((ROOT / name).is_file() for name in candidate.sources)
        counted = count(candidate)
        assert 0 < counted.glue < counted.app, candidate.name
