"""How long the stages were seen to work on their steps.

A stage's worker counts its steps and the seconds that it worked on them, without what it waited for others. Sums are
taken over all replicas: they share the cut, so what is said of it has to suit them together.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from rayspan.report.window import Window

SECONDS: Final = "ray_rayspan_stage_seconds_total"
STEPS: Final = "ray_rayspan_stage_steps_total"
ENOUGH_STEPS: Final = 200
"""Of each stage, before its mean is believed: one step in ten that takes twice as long then moves it by 2 %."""


def stage_seconds(window: Window, stages: int) -> tuple[float, ...] | None:
    """Mean work of each stage on a decode step; None as long as there were too few."""
    worked, steps = totals(window, stages, ("decode",))
    if not stages or min(steps) < ENOUGH_STEPS or min(worked) <= 0:
        return None
    return tuple(seconds / number for seconds, number in zip(worked, steps, strict=True))


def prompt_seconds(window: Window, stages: int) -> tuple[float, ...]:
    """Work of each stage on steps with prompts in them, for each decode step; where ``stage_seconds`` are known."""
    worked, _ = totals(window, stages, ("prefill",))
    _, steps = totals(window, stages, ("decode",))
    return tuple(seconds / number for seconds, number in zip(worked, steps, strict=True))


def totals(
    window: Window, stages: int, kinds: Collection[str] = ("decode", "prefill")
) -> tuple[list[float], list[float]]:
    """Seconds of work, and steps, of each stage over all replicas."""
    worked, steps = [0.0] * stages, [0.0] * stages
    for (metric, labels), amount in window.counters.items():
        if metric not in (SECONDS, STEPS):
            continue
        tags = dict(labels)
        stage = tags.get("stage", "")
        if tags.get("kind") in kinds and stage.isdigit() and int(stage) < stages:
            (worked if metric == SECONDS else steps)[int(stage)] += amount
    return worked, steps
