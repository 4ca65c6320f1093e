"""The last failure: its earliest cause, through the outage and after it."""

from __future__ import annotations

from typing import Any

from rayspan.api.v1alpha1 import FailureStatus, Status
from rayspan.report.input import Input
from rayspan.report.status import status


def failure(found: Status) -> FailureStatus | None:
    assert found.diagnosis is not None
    return found.diagnosis.last_failure


def crashed(world: Any, words: str = "OOMKilled, exit code 137") -> Input:
    pod = world.pod(1, phase="Failed", ready=False, last_exit=words)
    given = world.pods(world.serving(), pod)
    assert isinstance(given, Input)
    return given


def test_while_all_is_well_there_is_none(world: Any) -> None:
    assert failure(status(world.serving())) is None


def test_a_crash_is_kept_when_the_pod_is_gone_and_all_is_well_again(world: Any) -> None:
    down = status(crashed(world))
    told = failure(down)
    assert told is not None and told.reason == "PodCrashing"
    assert "OOMKilled, exit code 137" in told.message
    well = status(world.after(world.serving(), down))
    assert failure(well) == told


def test_echoes_do_not_hide_the_cause(world: Any) -> None:
    down = status(crashed(world))
    echo = status(world.after(world.failing(world.without(world.serving(), "tiny-stage-1-0")), down))
    assert failure(echo) == failure(down)


def test_a_cause_that_is_found_later_takes_the_place_of_its_echo(world: Any) -> None:
    echo = status(world.failing(world.serving()))
    told = failure(echo)
    assert told is not None and told.reason == "NoCompletion"
    found = failure(status(world.after(crashed(world), echo)))
    assert found is not None and found.reason == "PodCrashing"


def test_the_next_outage_has_its_own(world: Any) -> None:
    down = status(crashed(world))
    well = status(world.after(world.serving(), down))
    again = failure(status(world.after(world.failing(world.serving()), well)))
    assert again is not None and again.reason == "NoCompletion"
