"""Rates, queues and shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rayspan.report.observed import Scrape
from rayspan.report.traffic import KV_CACHE_USAGE, REQUESTS, RUNNING, WAITING, ended, jain, traffic
from rayspan.report.window import Window


def requests(**counts: float) -> dict[Any, float]:
    """Counters by ``<outcome>_<replica>``."""
    return {
        (REQUESTS, tuple(zip(("outcome", "replica"), name.split("_"), strict=True))): count
        for name, count in counts.items()
    }


def window(
    world: Any, before: Mapping[Any, float], after: Mapping[Any, float], seconds: float = 100
) -> Window:
    pages = [Scrape(world.now - seconds, "p", {}, before), Scrape(world.now, "p", {}, after)]
    return Window.of(pages, world.now, 300, {})


def test_outcomes_are_counted_apart_and_shares_by_replica(world: Any) -> None:
    before = requests(ok_a=100, ok_b=7, error_a=1)
    after = requests(ok_a=130, ok_b=17, error_a=6, cancelled_b=5, rejected_=3)
    found = traffic(window(world, before, after), replicas={"a", "b"})
    assert found is not None
    assert found.model_dump(exclude_none=True) == {
        "requests_per_second": 0.53,
        "error_rate": 0.0943,
        "balance": {"jain_index": 0.862, "shares": [0.7, 0.3]},
    }


def test_a_replica_that_never_served_counts_in_the_balance(world: Any) -> None:
    found = traffic(window(world, requests(ok_b=0), requests(ok_b=10)), replicas=["b", "a"])
    assert found is not None and found.balance is not None
    assert (found.balance.jain_index, found.balance.shares) == (0.5, [0.0, 1.0])


def test_a_replica_that_is_gone_counts_in_the_rates_but_not_in_the_balance(world: Any) -> None:
    before = requests(ok_gone=0, ok_a=0, ok_b=0)
    found = traffic(window(world, before, requests(ok_gone=80, ok_a=10, ok_b=10)), replicas={"a", "b"})
    assert found is not None and found.balance is not None
    assert (found.requests_per_second, found.balance.jain_index, found.balance.shares) == (
        1.0,
        1.0,
        [0.5, 0.5],
    )


def test_without_a_replica_that_is_known_there_is_no_balance(world: Any) -> None:
    found = traffic(window(world, requests(ok_a=0), requests(ok_a=10)), replicas=())
    assert found is not None and found.balance is None


def test_requests_are_counted_by_how_they_ended(world: Any) -> None:
    before, after = requests(ok_a=1, ok_b=1, rejected_=5), requests(ok_a=3, ok_b=2, rejected_=5, error_a=4)
    assert ended(window(world, before, after)) == {"ok": 3, "error": 4}


def test_without_traffic_rates_are_nothing_and_shares_are_absent(world: Any) -> None:
    found = traffic(window(world, requests(ok_a=4), requests(ok_a=4)), replicas={"a"})
    assert found is not None
    assert found.model_dump(exclude_none=True) == {"requests_per_second": 0.0}


def test_queues_are_added_over_engines_and_the_fullest_cache_counts(world: Any) -> None:
    def pod(uid: str, ago: float, running: float, usage: float) -> Scrape:
        values: dict[Any, float] = {(RUNNING, ()): running, (WAITING, ()): 1.0, (KV_CACHE_USAGE, ()): usage}
        return Scrape(world.now - ago, uid, {}, values)

    pages = [pod("a", 30, 9, 0.9), pod("a", 0, 3, 0.25), pod("b", 5, 4, 0.5), pod("gone", 90, 8, 0.99)]
    found = traffic(Window.of(pages, world.now, 300, {}), replicas={"a", "b"})
    assert found is not None
    assert (found.running, found.waiting, found.kv_cache_usage) == (7, 2, 0.5)


def test_nothing_without_time(world: Any) -> None:
    assert traffic(Window(), replicas={"a"}) is None


def test_jain() -> None:
    assert jain([1, 1, 1, 1]) == 1
    assert jain([1, 0, 0, 0]) == pytest.approx(0.25)
