"""What the fault matrix holds events against."""

from __future__ import annotations

from typing import Any

from tests.matrix.told import Told


def status(value: str, uid: str = "u") -> dict[str, Any]:
    one = {
        "type": "Provisioned", "status": value, "reason": "PodsPending", "message": "It waits.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return {"metadata": {"uid": uid}, "status": {"conditions": [one]}}


EVENT = {"reason": "PodsPending", "message": "Provisioned=False: It waits."}


def told(*writes: dict[str, Any]) -> list[str]:
    seen = Told()
    for one in writes:
        seen.note("events" if one is EVENT else "llmdeployments/status", one)
    return seen.too_often()


def test_one_event_for_each_turn() -> None:
    assert told(status("False"), EVENT) == []
    assert told(status("False"), EVENT, status("True"), status("False"), EVENT) == []
    assert told(status("False"), EVENT, status("False", "another"), EVENT) == []


def test_an_event_may_be_told_in_the_words_of_a_later_status() -> None:
    later = {**EVENT, "message": "Provisioned=False: It waits still: for a node."}
    seen = Told()
    seen.note("llmdeployments/status", status("False"))
    seen.note("events", later)
    assert seen.too_often() == []
    seen.note("events", EVENT)
    assert seen.too_often() == ["2 x, of 1: PodsPending: Provisioned=False"]


def test_a_lost_event_is_no_fault() -> None:
    assert told(status("False")) == []


def test_one_more_than_turns_is() -> None:
    words = "PodsPending: Provisioned=False"
    assert told(status("False"), EVENT, EVENT) == [f"2 x, of 1: {words}"]
    assert told(status("False"), EVENT, status("False"), EVENT) == [f"2 x, of 1: {words}"]
