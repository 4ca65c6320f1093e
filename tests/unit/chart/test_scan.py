"""How `make scan` judges: nothing is passed over, and no waiver outlives what it was for."""

from __future__ import annotations

from dev.scan import RENDERINGS, WAIVERS, Finding, unexpected


def test_what_is_not_waived_is_told() -> None:
    assert unexpected([Finding("A", "bad (Deployment.x)")], {}) == ["A: bad (Deployment.x)"]


def test_what_is_waived_is_passed_over() -> None:
    assert unexpected([Finding("A", "bad"), Finding("A", "bad elsewhere")], {"A": "because"}) == []


def test_a_waiver_that_nothing_needs_is_told() -> None:
    assert unexpected([], {"A": "because"}) == ["A is waived in dev/scan.py, and nothing needs it: remove it"]


def test_every_rendering_has_its_waivers_and_each_a_reason() -> None:
    assert set(WAIVERS) == set(RENDERINGS)
    assert [why for waivers in WAIVERS.values() for why in waivers.values() if len(why) < 30] == []
