"""Where more requests at a time no longer bring more tokens."""

from __future__ import annotations

import pytest
from rayspan.cli.bench.record import Level
from rayspan.cli.bench.saturation import saturation

from tests.unit.cli.measured import level

CASES: dict[str, tuple[list[Level], int | None, str]] = {
    "throughput stops growing, and who waits longer is said": (
        [level(1, 100), level(2, 190), level(4, 300), level(8, 309, slower=2)],
        4,
        "4 requests at a time, 300 tokens/s: with 8 a doubling brings +3%, and p95 end to end goes from 4s to 8s.",
    ),
    "throughput falls": (
        [level(1, 100), level(2, 80)],
        1,
        "1 request at a time, 100 tokens/s: with 2 a doubling brings -20%, and p95 end to end goes from 4s to 4s.",
    ),
    "a gain of a tenth is still one": (
        [level(1, 100), level(2, 111)],
        None,
        "Not reached: with 2 at a time each doubling still brings 11% more tokens/s. Go on with --levels 2,4,8.",
    ),
    "a step of two doublings has to bring a tenth twice": (
        [level(2, 100), level(8, 118)],
        2,
        "2 requests at a time, 100 tokens/s: with 8 a doubling brings +9%, and p95 end to end goes from 4s to 4s.",
    ),
    "a step of less than a doubling needs less": (
        [level(4, 100), level(5, 104)],
        None,
        "Not reached: with 5 at a time each doubling still brings 13% more tokens/s. Go on with --levels 5,10,20.",
    ),
    "what only grows while requests fail is no throughput": (
        [level(1, 100), level(2, 200, requests=90, failed=10)],
        1,
        "1 request at a time, 100 tokens/s: with 2 a doubling brings +100%, and p95 end to end goes from 4s to 4s; "
        "10% of the requests failed.",
    ),
    "a level without an answer is passed over": (
        [level(1, 100), level(2, 200), level(4, 0, requests=0, failed=100)],
        None,
        "Not reached: with 2 at a time each doubling still brings 100% more tokens/s. Go on with --levels 2,4,8.",
    ),
    "one level": ([level(4, 100)], None, "One level tells no saturation point: give more --levels."),
    "the first level fails": (
        [level(1, 100, requests=50, failed=50), level(2, 200)],
        None,
        "With 1 at a time 50% of the requests failed already: see why they failed.",
    ),
    "nothing": ([level(1, 0, requests=0)], None, "No request was answered: nothing can be told."),
}


@pytest.mark.parametrize(("levels", "concurrency", "message"), CASES.values(), ids=list(CASES))
def test_saturation(levels: list[Level], concurrency: int | None, message: str) -> None:
    found = saturation(levels)
    assert (found.concurrency, found.message) == (concurrency, message)
