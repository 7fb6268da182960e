"""A short campaign: no revoked token is accepted later than the bound, whatever happens.

The bound itself is asserted, without an allowance: the start of a verify is read right before the
call, and the end of a revocation right after it, so both errors make a verify look earlier than it
was. ``python -m tests.staleness`` runs all scenarios.
"""

from collections.abc import Iterator

import pytest

from clusterpass import EmbeddedCluster

from .campaign import NODE_TIMEOUT, Campaign, Sizes
from .report import Result, remarks, table
from .run import run
from .scenarios import SCENARIOS

BOUND = 0.5
SIZES = Sizes(revoked=36, kept=6)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def torn() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(nodes=6, node_timeout=NODE_TIMEOUT) as running:
        yield running


@pytest.fixture(scope="module")
def campaign(torn: EmbeddedCluster) -> Iterator[Campaign]:
    with Campaign(torn, bound=BOUND, sizes=SIZES) as running:
        yield running


def play(campaign: Campaign, name: str) -> Result:
    scenario = SCENARIOS[name]
    result = Result(name, scenario.description, campaign.bound)
    result.add(run(scenario, campaign))
    print(table([result]), remarks([result]), sep="\n")
    return result


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "name", ["quiet", "dropped-one", "primary-replaced", "slots-moved", "loop-stalled"]
)
def test_the_promise_is_kept(campaign: Campaign, name: str) -> None:
    result = play(campaign, name)
    assert not result.is_broken, remarks([result])
    assert not result.problems, remarks([result])
    assert result.longest <= BOUND
    assert result.accepted_beyond == 0
    assert result.revocations >= SIZES.revoked / 2, "few could be judged"
    assert result.from_memory > result.verifies / 2, "this is about memory"


@pytest.mark.alternating
def test_without_leases_the_promise_breaks(torn: EmbeddedCluster) -> None:
    """Or else the tests above would say nothing."""
    with Campaign(torn, bound=BOUND, sizes=SIZES, lease_off=True) as careless:
        result = play(careless, "dropped-one")
    assert result.is_broken
    assert result.longest > 4 * BOUND, "it grows with the fault"
    assert result.tokens_beyond > 5
    assert result.refused_early == 0
