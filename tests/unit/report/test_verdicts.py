"""Each verdict by the numbers that make it, what hides what, and what it takes to change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.report.stations import Engine, Mean, Stations
from rayspan.report.verdicts import KEPT, RULES, verdict

CALM = Stations(
    seconds=60.0,
    first_token=Mean(200, 0.210),
    engine_first_token=Mean(200, 0.200),
    answer=Mean(200, 2.050),
    engine_answer=Mean(200, 2.000),
    sending=0.5,
    lag={"proxy": 0.002, "ingress": 0.004},
    engines={"a": Engine(4.0, 0.1, 0.3, Mean(100, 2.0)), "b": Engine(4.2, 0.0, 0.3, Mean(100, 2.0))},
    preemptions=0.0,
    stage_shares=(0.55, 0.60),
    stage_steps=2400.0,
)
"""Two replicas of two stages with room in all of them."""

QUEUES = {"a": Engine(8.0, 3.0, 0.5), "b": Engine(8.0, 2.5, 0.5)}
CASES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing at its limit": ({}, None),
    "too few answers to tell": ({"answer": Mean(4, 9.0), "engines": QUEUES}, None),
    "few answers, and queues twice as long as would do": (
        {"answer": Mean(19, 9.0), "engines": QUEUES},
        "Engine",
    ),
    "few answers, and a queue that would do for many": (
        {"answer": Mean(8, 9.0), "engines": {"a": Engine(8.0, 1.5), "b": Engine(8.0, 1.5)}},
        None,
    ),
    "clients that do not read": ({"sending": 200 * 2.05 * 0.6}, "Client"),
    "a path that is late and slow": (
        {"lag": {"proxy": 0.003, "ingress": 0.080}, "answer": Mean(200, 3.0)},
        "Coordinator",
    ),
    "a path that is late for first tokens alone": (
        {"lag": {"proxy": 0.080}, "first_token": Mean(200, 0.5)},
        "Coordinator",
    ),
    "a path that is a little late, for first tokens alone": (
        {"lag": {"proxy": 0.030}, "first_token": Mean(200, 0.5)},
        None,
    ),
    "a path that costs much but is not late: a fixed overhead": ({"answer": Mean(200, 3.0)}, None),
    "a path that is late but costs little": ({"lag": {"proxy": 0.080}}, None),
    "requests that lose their place in the cache": ({"preemptions": 5.0}, "KVCache"),
    "a full cache and a queue before it": (
        {"engines": {"a": Engine(8.0, 3.0, 0.97), "b": Engine(8.0, 3.0, 0.98)}},
        "KVCache",
    ),
    "a full cache and no queue": ({"engines": {"a": Engine(8.0, 0.2, 0.97)}}, None),
    "one replica queues and the other has room": (
        {"engines": {"a": Engine(8.0, 4.0, 0.5), "b": Engine(1.0, 0.0, 0.1)}},
        "LoadBalancer",
    ),
    "one replica takes far longer for the same": (
        {
            "engines": {"a": Engine(4.0, 2.0, 0.5, Mean(8, 6.0)), "b": Engine(4.0, 2.0, 0.5, Mean(50, 1.5))},
            "stage_shares": (0.9, 0.95),
        },
        "LoadBalancer",
    ),
    "too few answers of one to hold it against the other": (
        {"engines": {"a": Engine(4.0, 2.0, 0.5, Mean(4, 6.0)), "b": Engine(4.0, 2.0, 0.5, Mean(50, 1.5))}},
        "Engine",
    ),
    "both queue": ({"engines": QUEUES, "stage_shares": (0.9, 0.95)}, "Engine"),
    "stages that work all the time": ({"stage_shares": (0.95, 1.0)}, None),
    "an objective that is missed in the engine": ({"missed": True}, "Engine"),
    "an objective that is missed on the path": ({"missed": True, "answer": Mean(200, 3.0)}, None),
    "one stage works all the time and the other waits": ({"stage_shares": (0.35, 0.92)}, "PipelineImbalance"),
    "one stage does nearly all the work, of one batch at a time": (
        {"stage_shares": (0.07, 0.71)},
        "PipelineImbalance",
    ),
    "one sequence alone takes the sum of the stages": (
        {"stage_shares": (0.1, 0.85), "engines": {"a": Engine(1.0), "b": Engine(1.0)}},
        None,
    ),
    "one stage works more, with time to spare": ({"stage_shares": (0.3, 0.6)}, None),
    "stages that idle while requests run": ({"stage_shares": (0.1, 0.12)}, "Network"),
    "stages that idle because little runs": (
        {"stage_shares": (0.1, 0.12), "engine_answer": Mean(150, 1.0)},
        None,
    ),
    "short steps, of which the host takes much": ({"stage_shares": (0.1, 0.12), "stage_steps": 9000.0}, None),
    "no pipeline and a queue": ({"engines": QUEUES, "stage_shares": (), "stage_steps": 0.0}, "Engine"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_verdict(case: str) -> None:
    changes, wanted = CASES[case]
    found = verdict([replace(CALM, **changes)], None)
    assert (found[0].verdict if found else None) == wanted


HIDDEN: dict[str, tuple[tuple[str, ...], str]] = {
    "a slow client makes the path look slow": (
        ("clients that do not read", "a path that is late and slow"), "Client",
    ),
    "a late path keeps a stage idle": (
        ("a path that is late and slow", "stages that idle while requests run"), "Coordinator",
    ),
    "a full cache makes a queue": (
        ("requests that lose their place in the cache", "both queue"), "KVCache",
    ),
    "one slow stage makes a queue": (
        ("both queue", "one stage works all the time and the other waits"), "PipelineImbalance",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HIDDEN)
def test_what_hides_what(case: str) -> None:
    cases, wanted = HIDDEN[case]
    changes: dict[str, Any] = {}
    for one in cases:
        changes |= CASES[one][0]
    found = verdict([replace(CALM, **changes)], None)
    assert found is not None and found[0].verdict == wanted


def test_a_verdict_stands_until_it_is_clearly_over() -> None:
    at_the_bound, below, gone = ((0.4, share) for share in (0.81, 0.81 * KEPT, 0.79 * KEPT))
    first = verdict([replace(CALM, stage_shares=at_the_bound)], None)
    assert first is not None and first[0].verdict == "PipelineImbalance"
    for shares in (below, (0.44, 0.67)):
        assert verdict([replace(CALM, stage_shares=shares)], None) is None
        kept = verdict([replace(CALM, stage_shares=shares)], "PipelineImbalance")
        assert kept is not None and kept[0].verdict == "PipelineImbalance"
    assert verdict([replace(CALM, stage_shares=gone)], "PipelineImbalance") is None


@pytest.mark.parametrize("standing", ["PipelineImbalance", "LoadBalancer"])
def test_what_is_even_is_not_kept_as_uneven(standing: str) -> None:
    """Found in the fault laboratory: 80 % of 1.25 times as much is as much."""
    busy = replace(CALM, engines=QUEUES, stage_shares=(0.86, 0.86))
    found = verdict([busy], standing)
    assert found is not None and found[0].verdict == "Engine"


LATE = replace(CALM, lag={"proxy": 0.080}, answer=Mean(200, 3.0))
FEW = replace(
    CALM,
    answer=Mean(19, 2.05),
    engines={"a": Engine(1.0, 0.0, 0.1, Mean(4, 2.0)), "b": Engine(1.0, 0.0, 0.1, Mean(15, 2.0))},
)
SEEN: dict[str, tuple[list[Stations], str | None]] = {
    "the last moments before the window": ([LATE, CALM], "Coordinator"),
    "what was in the window and is over": ([CALM, LATE], None),
    "too few answers of late to say that it is over": ([FEW, LATE], "Coordinator"),
    "a few answers of late that leave no doubt": ([replace(LATE, answer=Mean(7, 24.0)), CALM], "Coordinator"),
    "a few answers of late that do": ([replace(LATE, answer=Mean(7, 3.0), lag={"proxy": 0.03}), CALM], None),
}


@pytest.mark.parametrize("case", SEEN)
def test_the_last_moments_count_first(case: str) -> None:
    seen, wanted = SEEN[case]
    found = verdict(seen, None)
    assert (found[0].verdict if found else None) == wanted


def test_evidence_has_the_numbers_that_decide() -> None:
    changes, _ = CASES["a path that is late and slow"]
    found = verdict([replace(CALM, **changes)], None)
    assert found is not None
    assert found[1] == [
        "An answer takes 3s, 2s of it in the engine; a first token 210ms, 200ms of it in the engine.",
        "The ingress's event loop wakes up 80ms late.",
        "Requests in the engines on average: a 4.0 running and 0.1 waiting and b 4.2 running and 0.0 waiting.",
    ]


def test_every_verdict_says_what_to_do() -> None:
    assert len({rule.verdict for rule in RULES}) == len(RULES)
    assert all(rule.summary.endswith(".") and rule.action.endswith(".") for rule in RULES)


SLOW = replace(
    CALM,
    answer=Mean(100, 2.0),
    engines={"a": Engine(2.0, 1.1, 0.1, Mean(40, 2.7)), "b": Engine(2.0, 0.1, 0.1, Mean(60, 1.08))},
)
LATELY: dict[str, tuple[Mean, Mean, str | None]] = {
    "over: some answers of each, and they take the same": (Mean(8, 1.02), Mean(9, 1.02), None),
    "still so, though by few answers": (Mean(5, 2.5), Mean(9, 1.02), "LoadBalancer"),
    "too few of the slow one to tell": (Mean(2, 1.1), Mean(15, 1.02), "LoadBalancer"),
}


@pytest.mark.parametrize("case", LATELY)
def test_what_the_window_says_is_held_against_the_last_moments(case: str) -> None:
    slow, fast, wanted = LATELY[case]
    lately = replace(
        CALM,
        seconds=45.0,
        answer=Mean(slow.number + fast.number, 1.1),
        engine_answer=Mean(slow.number + fast.number, 1.1),
        engines={"a": Engine(1.0, 0.6 * slow.seconds, 0.1, slow), "b": Engine(1.0, 0.0, 0.1, fast)},
    )
    found = verdict([lately, SLOW], None)
    assert (found[0].verdict if found else None) == wanted
