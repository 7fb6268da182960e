"""``open_refusal``: a refused login attempt is noted once, and enters the audit trail once."""

import threading
from contextvars import copy_context

from clusterpass.model.refusals import open_refusal, refusal_here


def test_a_refused_login_is_noted_once_and_the_trail_has_it_once() -> None:
    with open_refusal() as refusal:
        assert not refusal.take(), "nothing was refused"
        refusal_here().put_in_trail()
        assert not refusal.take(), "a password is no login yet"
        assert refusal_here().tell(), "the trail has it already"
        assert not refusal_here().tell(), "that was another one"
        assert refusal.take()
        assert not refusal.take()
    with open_refusal():
        assert not refusal_here().tell(), "the trail has nothing of it"


def test_the_threads_of_an_attempt_share_its_refusal() -> None:
    with open_refusal() as refusal:
        context = copy_context()
        checking = threading.Thread(target=lambda: context.run(lambda: refusal_here().tell()))
        checking.start()
        checking.join()
        assert refusal.take()


def test_outside_of_an_attempt_nobody_reads_it() -> None:
    with open_refusal() as outer:
        with open_refusal() as inner:
            refusal_here().tell()
        assert not outer.take()
        assert inner.take()
        refusal_here().tell()
        assert outer.take()
    refusal_here().tell()
    assert not outer.take()
    assert refusal_here() is not outer
