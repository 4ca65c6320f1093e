"""The better split that follows from the stages' times, as the status has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rayspan.api.conditions import ConditionType
from rayspan.api.v1alpha1 import SuggestionStatus
from rayspan.plan.facts import NodeFacts
from rayspan.plan.gpus import gpu
from rayspan.plan.model_facts import recalled
from rayspan.plan.suggestion import Better, Seen, better_split
from rayspan.plan.types import Plan
from rayspan.report import durations
from rayspan.report.moments import moment
from rayspan.report.scene import Scene, known
from rayspan.report.stage_times import prompt_seconds, stage_seconds
from rayspan.report.window import Window
from rayspan.report.words import listing, message

MOVED: Final = 0.05
"""A gain that moved by more than this is worth a new sentence."""


def suggestion(scene: Scene, window: Window) -> SuggestionStatus | None:
    """For the plan that runs. Without enough steps to tell, what was suggested for it before stays."""
    plan, status = scene.plan, scene.given.deployment.status
    if plan is None or plan is not scene.given.answer or scene.given.model is None:
        return None
    before = status.plan.suggestion if status.plan and tuple(status.plan.layers) == plan.layers else None
    seconds = stage_seconds(window, plan.pipeline)
    if seconds is None or not _settled(scene, window):
        return before
    stages = _stages(scene, seconds, prompt_seconds(window, plan.pipeline))
    facts = recalled(scene.given.model)
    arguments = scene.given.deployment.spec.engine.args or {}
    better = better_split(facts, arguments, plan, stages, before.layers if before else ())
    if better is None:
        return None
    percent = round(better.gain * 100)
    if before and tuple(before.layers) == better.layers and abs(before.gain_percent - percent) <= 100 * MOVED:
        return before
    return SuggestionStatus(
        layers=list(better.layers),
        gain_percent=percent,
        message=_sentence(plan, better, stages, durations.span(window.seconds)),
    )


def _settled(scene: Scene, window: Window) -> bool:
    """Whether the whole window is of the plan that runs now."""
    since = scene.given.observed.at - window.seconds
    ready = scene.given.deployment.status.condition(ConditionType.READY)
    turned = moment(ready.last_transition_time) if ready and ready.status == "True" else None
    return turned is not None and turned <= since and all(pod.created_at <= since for pod in scene.pods)


def _stages(scene: Scene, seconds: Sequence[float], prompts: Sequence[float]) -> list[Seen]:
    """Each stage with the GPU that it has; the smallest, where replicas have several."""
    nodes = {node.name: node for node in known(scene.given.nodes) or ()}
    places = scene.placement.stages if scene.placement else []
    return [
        _seen(*taken, [nodes[p.node] for p in places if p.stage == stage and p.node in nodes])
        for stage, taken in enumerate(zip(seconds, prompts, strict=True))
    ]


def _seen(decode: float, prompts: float, nodes: Sequence[NodeFacts]) -> Seen:
    sizes = [node.gpu_memory_bytes for node in nodes if node.gpu_memory_bytes]
    return Seen(decode, gpu(nodes[0].gpu_product if nodes else None), min(sizes, default=None), prompts)


def _sentence(plan: Plan, better: Better, stages: Sequence[Seen], window: str) -> str:
    worked = [stage.load for stage in stages]
    slowest = max(range(len(worked)), key=lambda stage: worked[stage])
    each = listing((durations.latency(taken) for taken in worked), most=8)
    with_prompts = " and the prompts that came with it" if any(stage.prompts for stage in stages) else ""
    return message(
        f"Within {window} the stages worked {each} on a decode step{with_prompts}: stage {slowest} gates the others. "
        f"Cut into {listing(map(str, better.layers), most=64)} layers in place of "
        f"{listing(map(str, plan.layers), most=64)}, the slowest would take "
        f"{durations.latency(better.slowest_seconds)}: {better.gain:.0%} more steps per second under load. To have it "
        f"so, set layers in spec.parallelism.stages."
    )
