"""One sentence for each decision of the plan."""

from __future__ import annotations

from collections.abc import Sequence

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.model_checks import given_layers
from rayspan.plan.placement import Cluster, Wanted
from rayspan.plan.types import StagePlan
from rayspan.plan.words import count, labels, listed


def tensor_sentence(spec: Spec, tensor: int) -> str:
    """Why so many GPUs per stage."""
    together = "" if tensor == 1 else f"; the {tensor} GPUs of a stage sit on one node"
    if spec.parallelism.tensor is None:
        return f"Tensor parallel {tensor}: spec.parallelism.tensor is left out{together}."
    return f"Tensor parallel {tensor}, as spec.parallelism.tensor says{together}."


def layers_sentence(spec: Spec, layers: Sequence[int]) -> str:
    """Why these layers."""
    if given_layers(spec):
        return f"Layers per stage {listed(layers, most=64)}, as spec.parallelism.stages says."
    if len(layers) == 1:
        return f"All {count(layers[0], 'layer')} in one stage."
    why = (
        ""
        if len(set(layers)) == 1
        else "; spare layers go to the middle stages first, for the first stage also holds the embedding "
        "and the last the output head"
    )
    return f"{sum(layers)} layers cut evenly into {listed(layers, most=64)}{why}."


def placement_sentence(stages: Sequence[StagePlan]) -> str:
    """Which stage may run where."""
    if len({stage.nodes for stage in stages}) == 1 and not stages[0].node_selector:
        return f"Each stage runs on a node of its own{_of(stages[0].nodes)}."
    parts = []
    for stage in stages:
        where = f" with {labels(stage.node_selector)}" if stage.node_selector else ""
        parts.append(f"stage {stage.index} on a node{where}{_of(stage.nodes)}")
    sentence = listed(parts, most=8)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _of(nodes: Sequence[str]) -> str:
    return f" ({listed(nodes, last='or')})" if nodes else ""


def gpus_sentence(wanted: Wanted) -> str:
    """The bill of one replica."""
    stages = len(wanted.stages)
    return (
        f"{count(stages, 'stage')} x {count(wanted.tensor, 'GPU')} = {stages * wanted.tensor} of "
        f"{wanted.gpu_resource} per replica."
    )


def left_out_sentence(cluster: Cluster, gpu_resource: str) -> str | None:
    """Nodes with GPUs that were not counted."""
    parts = [
        f"{n.name} ({cluster.barred[n.name]})" for n in cluster.nodes if n.gpus and n.name in cluster.barred
    ]
    return f"Left out: {listed(parts)}." if parts else None
