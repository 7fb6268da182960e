"""``clusterpass keys revoke`` accepts a key id that begins with a dash."""

import pytest

from clusterpass.tokens.key_encryption import new_encryption_key

from .conftest import assert_refused

MANAGED = {
    "CLUSTERPASS_MANAGED_KEYS": "true",
    "CLUSTERPASS_KEY_ENCRYPTION_KEYS": new_encryption_key(),
}


@pytest.mark.parametrize("kid", ["-_AbC", "--ye", "NoSuchKey"])
def test_an_id_that_begins_with_a_dash_is_taken_for_one(run, kid):
    outcome = run("keys", "revoke", kid, "--yes", **MANAGED)
    assert_refused(outcome, saying=f"'{kid}'")
