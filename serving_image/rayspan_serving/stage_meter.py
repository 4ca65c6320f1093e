"""The metrics of a stage, taken in its worker of tensor rank 0, exported by Ray with the prefix `ray_`.

    rayspan_stage_seconds_total   seconds of work on steps, without waiting for other stages
    rayspan_stage_steps_total     steps

Both by kind of step: `decode`, in which each sequence gains one token, and `prefill`, all others.
"""

from ray.util.metrics import Counter


class StageMeter:
    """Records for one stage. Make it in the worker's process: Ray's metrics belong to a worker."""

    def __init__(self, stage: int) -> None:
        self._tags = {"stage": str(stage)}
        keys = ("stage", "kind")
        self._seconds = Counter(
            "rayspan_stage_seconds_total", "Work on steps, without waiting.", tag_keys=keys
        )
        self._steps = Counter("rayspan_stage_steps_total", "Steps.", tag_keys=keys)

    def step(self, kind: str) -> None:
        self._steps.inc(1, tags={**self._tags, "kind": kind})

    def worked(self, kind: str, seconds: float) -> None:
        if seconds > 0:
            self._seconds.inc(seconds, tags={**self._tags, "kind": kind})
