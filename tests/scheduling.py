"""The scheduler of a parallel run: divides the tests by file, the longest first.

Tests of servers mostly wait, and unit tests never do. Their files take turns, so that the cores are
busy all the time.

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
    "tests/deploy/test_three_hosts.py",
    "tests/cluster/durability/test_journal.py",
    "tests/proxies/test_requests.py",
    "tests/proxies/test_browsers.py",
    "tests/cluster/model/test_sequences_of_verbs.py",
    "tests/simulation/test_simulation.py",
    "browser",
    "tests/journal_model/test_journal_model.py",
    "tests/field/test_sentinel.py",
    "tests/runbooks/test_runbooks.py",
    "tests/proxies/test_outages.py",
    "tests/docs/test_documents.py",
    "tests/service/test_page_admin.py",
    "tests/service/test_key_file_reload.py",
    "tests/cluster/test_revocation.py",
    "tests/field/test_causes.py",
    "tests/cluster/test_idle.py",
    "tests/upgrade/test_upgrade_page.py",
    "tests/cluster/model/test_sequences_of_step_ups.py",
    "tests/cluster/durability/test_stuck_shards.py",
    "tests/field/test_moved_addresses.py",
    "tests/service/test_replaced_workers.py",
    "tests/integrations/test_servers.py",
    "tests/integrations/test_celery.py",
    "tests/proxies/test_hand_over.py",
    "tests/service/test_metrics.py",
    "tests/service/test_hot_paths.py",
    "tests/cluster/test_races.py",
    "tests/cluster/durability/test_outages.py",
    "tests/integrations/test_shops.py",
    "tests/cluster/test_cluster_cli.py",
    "tests/migrate/test_old_tokens.py",
    "tests/cluster/model/test_sequences_of_refreshes.py",
    "tests/cluster/test_fast_path.py",
    "tests/service/test_page_attacks.py",
    "tests/cluster/test_outdated_primaries.py",
    "tests/cli/test_sessions_cli.py",
    "tests/cluster/durability/test_rollbacks.py",
    "tests/migrate/test_exchanges_on_every_topology.py",
    "tests/cluster/clocks/test_jumping_clocks.py",
    "tests/cluster/test_without_resp3.py",
    "tests/runbooks/test_backup.py",
    "tests/service/test_tracing.py",
    "tests/field/test_missing_commands.py",
    "tests/cluster/test_watch_sessions.py",
    "tests/cluster/test_listeners_on_every_topology.py",
    "tests/cluster/clocks/test_promoted_clocks.py",
    "tests/integrations/test_compared_apps.py",
    "tests/service/test_server.py",
    "tests/cluster/test_fsync.py",
    "tests/cluster/clocks/test_lagging_clocks.py",
    "tests/service/test_jose.py",
    "tests/cluster/durability/test_pending_revocations.py",
    "tests/cli/test_dev_and_demo.py",
    "tests/service/authz/test_grpc_running.py",
    "tests/cluster/test_bad_input.py",
    "tests/cluster/test_cluster_listeners.py",
    "tests/proxies/test_envoy_grpc.py",
    "tests/field/test_own_network.py",
    "tests/cluster/test_restarted_replicas.py",
    "tests/cluster/test_refresh_secret_rollout.py",
    "tests/field/test_credentials.py",
    "tests/service/authz/browsers/test_lifetime.py",
    "tests/service/authz/browsers/test_logins.py",
    "tests/cluster/test_moved_slots.py",
    "tests/service/test_fuzzing.py",
    "tests/cluster/test_online.py",
    "tests/cluster/store_faults/test_unreachable.py",
    "tests/cluster/test_doctor.py",
    "tests/cluster/durability/test_levels.py",
    "tests/proxies/test_decisions.py",
)
"""Groups of about fifteen seconds and more; the others follow as they are collected.

Those that compute all the time stand between others that mostly wait.
"""
_COMPUTING: Final = ("tests/unit/", "tests/security/")
_UNDISTURBED: Final = 14
"""How many of the longest groups begin before the first unit test."""


def _group_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return _GROUPS.get(file, file)


def in_turns(groups: list[str]) -> list[str]:
    """``groups`` in the order in which they are handed out."""
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    groups = sorted(groups, key=lambda group: rank.get(group, len(rank)))
    computing = [group for group in groups if group.startswith(_COMPUTING) and group not in rank]
    waiting = [group for group in groups if group not in set(computing)]
    first, waiting = waiting[:_UNDISTURBED], waiting[_UNDISTURBED:]
    shares = [
        ((place + 1) / (len(some) + 1), group)
        for some in (waiting, computing)
        for place, group in enumerate(some)
    ]
    return first + [group for _, group in sorted(shares, key=lambda share: share[0])]


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
        groups = in_turns(list(dict.fromkeys(_group_of(item.nodeid) for item in items)))
        places = {group: place for place, group in enumerate(groups)}
        items.sort(key=lambda item: places[_group_of(item.nodeid)])


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("loadgroup", default=False):
        config.pluginmanager.register(_Order())
