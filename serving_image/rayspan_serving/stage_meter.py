"""The metrics of a stage, taken in its worker of tensor rank 0, exported by Ray with the prefix `ray_`.

    rayspan_stage_seconds_total   seconds of work on steps, without waiting for other stages
    rayspan_stage_steps_total     steps
    rayspan_stage_weights_bytes   weights on one GPU
    rayspan_stage_cache_bytes     KV cache on one GPU

The first two by kind of step: `decode`, in which each sequence gains one token, and `prefill`, all others.
"""

from ray.util.metrics import Counter, Gauge


class StageMeter:
    """Records for one stage. Make it in the worker's process: Ray's metrics belong to a worker."""

    def __init__(self, stage: int) -> None:
        self._tags = {"stage": str(stage)}
        keys = ("stage", "kind")
        self._seconds = Counter(
            "rayspan_stage_seconds_total", "Work on steps, without waiting.", tag_keys=keys
        )
        self._steps = Counter("rayspan_stage_steps_total", "Steps.", tag_keys=keys)
        self._weights = Gauge("rayspan_stage_weights_bytes", "Weights on one GPU.", tag_keys=("stage",))
        self._cache = Gauge("rayspan_stage_cache_bytes", "KV cache on one GPU.", tag_keys=("stage",))

    def step(self, kind: str) -> None:
        self._steps.inc(1, tags={**self._tags, "kind": kind})

    def worked(self, kind: str, seconds: float) -> None:
        if seconds > 0:
            self._seconds.inc(seconds, tags={**self._tags, "kind": kind})

    def holds(self, weights: int, cache: int) -> None:
        self._weights.set(weights, tags=self._tags)
        self._cache.set(cache, tags=self._tags)
