"""``clusterpass migration``: the table of each issuer's tokens, and when the last one expires."""

import dataclasses

import pytest

from clusterpass.cli import migration
from clusterpass.migrate import MigrationReport

DAY, AT = 86_400, 1_700_000_000
REPORT = MigrationReport(
    issuer="pyjwt",
    accepted=12,
    exchanged=3,
    refused=1,
    last_seen_at=AT,
    last_issued_at=AT,
    lifetime=7 * DAY,
    ends_at=AT + 7 * DAY,
)


def lines(capsys: pytest.CaptureFixture[str], *reports: MigrationReport, now: float) -> list[str]:
    migration._print(reports, now)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_row_for_each_issuer_and_until_when_the_last_one_matters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    never = dataclasses.replace(
        REPORT, issuer="authx", last_seen_at=0, lifetime=5400, ends_at=AT + 5400
    )
    assert lines(capsys, REPORT, never, now=AT) == [
        "ISSUER ACCEPTED EXCHANGED REFUSED LAST SEEN LIFETIME VALID UNTIL",
        "pyjwt 12 3 1 2023-11-14 22:13 UTC 7 d 2023-11-21 22:13 UTC",
        "authx 12 3 1 - 90 m 2023-11-14 23:43 UTC",
        "",
        "the code that accepts old tokens can go after 2023-11-21 22:13 UTC, and a lifetime after"
        " the last old server stopped",
    ]


@pytest.mark.parametrize(("early", "is_over"), [(1, False), (0, True), (-1, True)])
def test_the_code_can_go_in_the_second_in_which_the_last_token_ends(
    capsys: pytest.CaptureFixture[str], early: int, is_over: bool
) -> None:
    *_, verdict = lines(capsys, REPORT, now=REPORT.ends_at - early)
    assert ("can go now, if the last old server stopped" in verdict) is is_over


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1, "1 s"),
        (59, "59 s"),
        (60, "1 m"),
        (61, "61 s"),
        (3600, "1 h"),
        (3660, "61 m"),
        (DAY, "1 d"),
        (DAY + 3600, "25 h"),
        (30 * DAY, "30 d"),
    ],
)
def test_a_lifetime_in_the_largest_unit_that_fits(seconds: int, shown: str) -> None:
    assert migration._duration(seconds) == shown
