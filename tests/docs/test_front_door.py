"""The page about the front door: its example is a policy, its cases hold, and it is complete."""

import re
from pathlib import Path

from clusterpass.service.authz.cases import _CASE_MEMBERS, _SESSION_MEMBERS, judge, load_cases
from clusterpass.service.authz.denial import EXPLANATIONS
from clusterpass.service.authz.endpoints import find_endpoint
from clusterpass.service.authz.identity import HEADER_SETS, OWN_HEADERS
from clusterpass.service.authz.original_request import FAMILIES
from clusterpass.service.authz.policy_file import _MEMBERS, load_policies

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "authz.md").read_text("utf-8")
BLOCKS = re.findall(r"^```toml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LEVELS = ("1", "2", "3")


def test_the_example_of_a_policy_passes_the_example_of_a_test(tmp_path: Path) -> None:
    policy, cases = BLOCKS
    (tmp_path / "policy.toml").write_text(policy)
    (tmp_path / "cases.toml").write_text(cases)
    named, found = load_cases(tmp_path / "cases.toml", LEVELS)
    assert named is not None
    policies = load_policies(named, levels=LEVELS, most_grace=300)
    assert len(policies.all_rules()) == 6
    assert len(found) == 6
    for case in found:
        verdict = judge(policies, case, LEVELS)
        assert verdict.meets(case), (case.name, verdict)


def test_every_member_reason_header_and_endpoint_is_described() -> None:
    shown = TEXT + "".join(BLOCKS)
    for name in (*_MEMBERS, *_CASE_MEMBERS, *_SESSION_MEMBERS, *EXPLANATIONS):
        assert re.search(rf"\b{name}\b", shown), name
    for name in (*_MEMBERS, *EXPLANATIONS, *OWN_HEADERS):
        assert f"`{name}`" in TEXT, name
    for proxy in FAMILIES:
        assert find_endpoint(f"/authz/{proxy}") is not None
        assert f"`/authz/{proxy}`" in TEXT
    for name, headers in HEADER_SETS.items():
        assert f"authz_identity_headers={name}" in TEXT
        for header in headers:
            # The first one of a set is written in full, the others by their ends.
            assert header in TEXT or f"`-{header.removeprefix('X-Auth-Request-')}`" in TEXT
