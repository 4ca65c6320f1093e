"""What the diagnosis makes of the requests that ended."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.api.v1alpha1 import DiagnosisStatus
from rayspan.report.observed import Histogram, Scrape
from rayspan.report.status import status
from rayspan.report.traffic import REQUESTS

OBJECTIVES = {"endToEnd": {"p99": "20s"}}


def told(world: Any, **outcomes: int) -> DiagnosisStatus:
    """The diagnosis after a minute in which so many requests ended so; those that ended well took 0.2 s."""
    page = world.scrape(world.now, (0.2,) * outcomes.get("ok", 0))
    (labels,) = {labels for _, labels in page.histograms}
    counts = {
        (REQUESTS, (("outcome", outcome), *labels)): float(count) for outcome, count in outcomes.items()
    }
    nothing = {key: Histogram(one.bounds, (0.0,) * len(one.counts)) for key, one in page.histograms.items()}
    pages = (
        Scrape(world.now - 60, page.pod_uid, nothing, dict.fromkeys(counts, 0.0)),
        Scrape(world.now, page.pod_uid, page.histograms, counts),
    )
    found = status(world.seen(world.serving(objectives=OBJECTIVES), scrapes=pages)).diagnosis
    assert found is not None
    return found


FAILS = "5xx, a time-out or a broken stream."
SUMMARIES: dict[str, tuple[dict[str, int], str, str]] = {
    "nobody asks": ({"ok": 0}, "Client", "No requests come in: too little load to tell."),
    "all is well": ({"ok": 30}, "Healthy", "Every objective is met."),
    "every request fails": ({"error": 12}, "Unknown", f"Every request fails: {FAILS}"),
    "most fail": ({"error": 12, "ok": 8}, "Unknown", f"Most requests fail: {FAILS}"),
    "some fail, and the others meet the objectives": (
        {"error": 5, "ok": 95}, "Unknown", f"Some requests fail: {FAILS}",
    ),
    "one of many fails": ({"error": 1, "ok": 99}, "Healthy", "Every objective is met."),
    "all are rejected": (
        {"rejected": 3}, "Client", "Every request is rejected (4xx): what clients send cannot be served.",
    ),
    "many are rejected, and the others meet the objectives": (
        {"rejected": 70, "ok": 30}, "Healthy", "Every objective is met.",
    ),
    "all are given up": (
        {"cancelled": 3}, "Unknown", "No request is answered: each is given up by its client.",
    ),
    "some are rejected and the others given up": (
        {"cancelled": 3, "rejected": 1}, "Unknown",
        "No request is answered: each is rejected (4xx) or given up by its client.",
    ),
    "too few are answered to tell": (
        {"ok": 3}, "Unknown", "The numbers at hand do not tell what limits it.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("sentence", SUMMARIES)
def test_the_verdict(world: Any, sentence: str) -> None:
    outcomes, verdict, summary = SUMMARIES[sentence]
    found = told(world, **outcomes)
    assert (found.verdict, found.summary) == (verdict, summary)


def test_the_shares_are_the_evidence(world: Any) -> None:
    found = told(world, error=14, ok=4, rejected=1, cancelled=1)
    assert found.evidence == [
        "20 requests ended within 1m: 70 % failed (5xx, a time-out or a broken stream), 5 % were rejected (4xx), "
        "5 % were given up by the client, 20 % were answered."
    ]
    assert found.action == "Read what a client gets back, and the log of stage 0's pod."
