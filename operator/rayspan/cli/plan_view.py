"""What `rayspan plan` shows: the cut as a table, a sentence for each decision."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.memory import GIB
from rayspan.plan.types import Answer, Plan
from rayspan.plan.words import count, labels, listed


def view(deployment: LLMDeployment, answer: Answer) -> RenderableType:
    """One deployment's answer."""
    name = deployment.metadata.name
    if not isinstance(answer, Plan):
        return Text.assemble((f"{name}  does not fit\n", "bold red"), answer.message)
    replicas = deployment.spec.replicas
    head = (
        f"{name}  {answer.layout}  {count(answer.gpus_per_replica, 'GPU')} per replica, "
        f"{answer.gpus_per_replica * replicas} for {count(replicas, 'replica')}"
    )
    parts: list[RenderableType] = [Text(head, style="bold"), _stages(answer)]
    if answer.cache_tokens is not None:
        parts.append(Text(f"KV cache of a replica: {answer.cache_tokens} tokens"))
    parts.extend(Text(f"- {sentence}") for sentence in answer.explanation)
    return Group(*parts)


def _stages(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("stage", "layers", "weights GiB", "KV cache GiB", "headroom GiB"):
        table.add_column(title, justify="right")
    table.add_column("node", overflow="fold")
    for stage in plan.stages:
        held = stage.holding
        sizes = (
            [f"{size / GIB:.1f}" for size in (held.weights, held.cache, held.headroom)] if held else ["-"] * 3
        )
        where = listed(stage.nodes, last="or", most=4) or labels(stage.selector) or "any with GPUs"
        table.add_row(str(stage.index), str(stage.layers), *sizes, where)
    return table
