"""A short campaign breaks no promise, and one of each broken build does."""

from collections import Counter
from pathlib import Path

import pytest

from .builds import BROKEN
from .campaign import run
from .faults import FAULTS
from .parameters import Plan, plan_of
from .verdict import summary

pytestmark = pytest.mark.timeout(300)
SAMPLED_BUILDS = 1
_MOST_FAULTS = 24
_FAULTS_OF_A_SHORT_CAMPAIGN = 10


def test_a_short_campaign_breaks_no_promise(tmp_path: Path, selection_seed: int) -> None:
    """Most kinds of faults, on one shape; the seed chooses both."""
    faults = _FAULTS_OF_A_SHORT_CAMPAIGN
    plan = Plan(faults=faults, seed=selection_seed, replicas=1 + selection_seed % 2)
    verdict = run(plan, tmp_path)
    assert not verdict.violations, summary(verdict)
    assert not verdict.trail, summary(verdict)
    assert not [each["errors"] for each in verdict.counted if each["errors"]], summary(verdict)
    assert all(each["waiting"] == 0 for each in verdict.counted), "something is pending still"
    assert len({each.name for each in verdict.history.faults}) == faults < len(FAULTS)
    done = Counter(each.verb for each in verdict.history.operations if each.outcome == "ok")
    assert all(done[verb] for verb in ("login", "verify", "refresh", "logout", "revoke")), done
    assert all(done[verb] for verb in ("list", "impersonate", "elevate", "ban")), done


@pytest.mark.sampled(SAMPLED_BUILDS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_build_is_found_out(tmp_path: Path, name: str) -> None:
    """Mostly within the first few faults; chance decides which processes see them."""
    broken = BROKEN[name]
    found: set[str] = set()
    for seed in range(_MOST_FAULTS // broken.at_once):
        plan = plan_of(name, Plan(faults=broken.at_once, seed=seed))
        verdict = run(plan, tmp_path / str(seed))
        found |= {each.promise for each in verdict.violations}
        if found & broken.promises:
            return
    raise AssertionError(f"{name} was not found out; broken was {found or 'nothing'}")
