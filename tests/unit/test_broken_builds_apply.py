"""Application of each broken build: the code that it changes still exists."""

import os

import pytest

from tests.campaign.builds import BROKEN


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_build_can_be_made(name):
    child = os.fork()
    if child == 0:  # what it changes is for this process alone
        try:
            BROKEN[name].apply()
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
