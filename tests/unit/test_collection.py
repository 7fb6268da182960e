"""The division of collected test modules among the workers of a parallel run."""

from tests.collection import share_of


def test_each_module_is_in_the_share_of_one_worker() -> None:
    names = [f"tests.unit.test_{number}" for number in range(12)]
    shares = [share_of(names, worker, 5) for worker in range(5)]
    assert sorted(name for share in shares for name in share) == sorted(names)
    assert {len(share) for share in shares} == {2, 3}
