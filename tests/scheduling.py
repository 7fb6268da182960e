"""How a parallel run divides the tests: by file, the longest first.

Needs ``--dist loadgroup --no-loadscope-reorder`` of pytest-xdist. A file stays on one worker, for
the sake of the clusters that its fixtures start. Files of one group never run beside each other.
The groups are told to the scheduler itself: pytest-xdist would put them into the ids of the tests,
which recent releases of pytest do not let it change.
"""

from typing import Any, Final

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

# These measure times while they tear clusters apart; two at once would disturb each other.
_GROUPS: Final = {
    "tests/cluster/test_failover.py": "campaigns",
    "tests/campaign/test_campaign.py": "campaigns",
    "tests/campaign/test_soak.py": "campaigns",
    "tests/staleness/test_staleness.py": "campaigns",
    "tests/service/test_page_browser.py": "browser",
    "tests/service/test_page_browser_admin.py": "browser",
}
_LONGEST_FIRST: Final = (
    "campaigns",
    "browser",
    "tests/cluster/model/test_sequences_of_verbs.py",
    "tests/field/test_sentinel.py",
    "tests/runbooks/test_runbooks.py",
    "tests/integrations/test_celery.py",
    "tests/proxies/test_requests.py",
    "tests/proxies/test_outages.py",
    "tests/integrations/test_servers.py",
    "tests/integrations/test_channels.py",
    "tests/cluster/durability/test_pending_revocations.py",
    "tests/cluster/clocks/test_jumping_clocks.py",
    "tests/cluster/clocks/test_promoted_clocks.py",
    "tests/cluster/test_races.py",
    "tests/cluster/durability/test_outages.py",
    "tests/field/test_moved_addresses.py",
    "tests/deploy/test_rolling_restart.py",
    "tests/deploy/test_chart.py",
    "tests/docs/test_site.py",
    "tests/field/test_missing_commands.py",
    "tests/field/test_causes.py",
    "tests/field/test_urls.py",
    "tests/field/test_service_log.py",
    "tests/field/test_forgotten_connections.py",
    "tests/cluster/model/test_sequences_of_refreshes.py",
    "tests/cluster/store_faults/test_unreachable.py",
    "tests/cli/test_sessions_cli.py",
    "tests/cli/test_dev_and_demo.py",
    "tests/cluster/test_near_cache.py",
    "tests/service/test_outages.py",
    "tests/cluster/durability/test_levels.py",
    "tests/cluster/durability/test_rollbacks.py",
    "tests/cluster/clocks/test_lagging_clocks.py",
    "tests/cluster/embedded/test_shutdown.py",
    "tests/cluster/store_faults/test_sharing.py",
    "tests/cli/test_bans_cli.py",
    "tests/cluster/embedded/test_persistence.py",
    "tests/cluster/embedded/test_options.py",
    "tests/cluster/store_faults/test_tls.py",
    "tests/cluster/test_doctor.py",
    "tests/cluster/test_cluster_cli.py",
    "tests/cluster/test_online.py",
    "tests/proxies/test_decisions.py",
    "tests/service/authz/test_grpc_running.py",
    "tests/proxies/test_envoy_grpc.py",
    "tests/service/test_server.py",
)
"""Groups of more than ten seconds; the others follow as they are collected."""


def _group_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return _GROUPS.get(file, file)


class _ByGroup(LoadScopeScheduling):
    """Hands out whole groups, in their order."""

    def _split_scope(self, nodeid: str) -> str:
        return _group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByGroup | None:
    return _ByGroup(config, log) if config.getoption("dist", default="") == "loadgroup" else None


class _Order:
    """Sorts at the end, when pytest has put tests together that share a fixture's parameter."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
        places: dict[str, tuple[int, int]] = {}
        for item in items:
            group = _group_of(item.nodeid)
            places.setdefault(group, (rank.get(group, len(rank)), len(places)))
        items.sort(key=lambda item: places[_group_of(item.nodeid)])


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("loadgroup", default=False):
        config.pluginmanager.register(_Order())
