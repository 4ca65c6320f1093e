"""Which replica is asked next."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest
from rayspan_serving.balance import REST_SECONDS, Balance, Target

TARGETS = [Target(name, f"http://{name}") for name in ("a", "b", "c")]


def asked(balance: Balance, targets: list[Target] = TARGETS) -> str:
    """Of one request that is over at once."""
    best = balance.order(targets)[0]
    with balance.turn(best):
        pass
    return str(best.replica)


def test_requests_one_at_a_time_go_round() -> None:
    balance = Balance()
    told = [asked(balance) for _ in range(9)]
    assert told[:3] == told[3:6] == told[6:]
    assert sorted(told[:3]) == ["a", "b", "c"]


@pytest.mark.parametrize("chances, first", [((0.9, 0.1, 0.5), "a"), ((0.1, 0.9, 0.5), "b")])
def test_each_proxy_begins_somewhere_else(chances: tuple[float, ...], first: str) -> None:
    drawn = iter(chances)
    assert asked(Balance(chance=lambda: next(drawn))) == first


def test_the_one_with_the_fewest_requests_under_way_is_next() -> None:
    balance = Balance()
    with ExitStack() as long:
        for target in (TARGETS[0], TARGETS[0], TARGETS[1]):
            long.enter_context(balance.turn(target))
        assert [one.replica for one in balance.order(TARGETS)] == ["c", "b", "a"]
    assert Counter(asked(balance) for _ in range(6)) == {"a": 2, "b": 2, "c": 2}


def test_one_that_did_not_answer_rests() -> None:
    time = 100.0
    balance = Balance(now=lambda: time)
    balance.rest(TARGETS[1])
    assert {one.replica for one in balance.order(TARGETS)} == {"a", "c"}
    time += REST_SECONDS
    assert {one.replica for one in balance.order(TARGETS)} == {"a", "b", "c"}


def test_what_is_gone_is_forgotten_and_what_comes_back_begins_anew() -> None:
    balance = Balance(chance=lambda: 0.0)
    balance.rest(TARGETS[0])
    balance.order(TARGETS[1:])
    assert asked(balance) == "a"
