"""The plan as the status and the command line show it."""

from __future__ import annotations

from collections.abc import Sequence

from rayspan.api.v1alpha1 import PlanStatus, StagePlanStatus, SuggestionStatus
from rayspan.plan.memory import GIB
from rayspan.plan.types import Plan
from rayspan.report.words import message


def plan_status(
    plan: Plan,
    replicas: int,
    explained: Sequence[str] | None = None,
    suggestion: SuggestionStatus | None = None,
) -> PlanStatus:
    """``explained``: the sentences of before, for a plan that was read back without any."""
    return PlanStatus(
        tensor=plan.tensor,
        pipeline=plan.pipeline,
        layout=plan.layout,
        layers=list(plan.layers),
        gpus=plan.gpus_per_replica * replicas,
        stages=_stages(plan),
        kv_cache_tokens=plan.cache_tokens,
        explanation=[message(sentence) for sentence in plan.explanation][:32]
        or list(explained or ())
        or None,
        suggestion=suggestion,
    )


def _stages(plan: Plan) -> list[StagePlanStatus] | None:
    found = [
        StagePlanStatus(
            weights_gib=round(stage.holding.weights / GIB, 1),
            kv_cache_gib=round(stage.holding.cache / GIB, 1),
            headroom_gib=round(stage.holding.headroom / GIB, 1),
        )
        for stage in plan.stages
        if stage.holding
    ]
    return found or None
