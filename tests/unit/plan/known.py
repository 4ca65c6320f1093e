"""Models and nodes of known sizes, for tests of the planner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from rayspan.plan.facts import ModelFacts, NodeFacts
from rayspan.plan.memory import GIB
from rayspan.plan.model_facts import model_facts

MODELS: dict[str, Any] = {
    model["model"]: model["config"]
    for model in yaml.safe_load((Path(__file__).parent / "models.yaml").read_text())
}


def known(name: str) -> ModelFacts:
    """A model of models.yaml."""
    return model_facts(MODELS[name])


def machines(
    count: int, gpus: int, product: str, gib: int, held: int = 0, first: int = 0
) -> tuple[NodeFacts, ...]:
    """Nodes that are alike, as their labels say."""
    labels = {"nvidia.com/gpu.product": product, "nvidia.com/gpu.memory": str(gib * 1024)}
    names = [f"{product.lower()}-{index}" for index in range(first, first + count)]
    return tuple(
        NodeFacts(
            name,
            {"kubernetes.io/hostname": name, **labels},
            gpus=gpus,
            gpus_held_by_others=held,
            gpu_product=product,
            gpu_memory_bytes=gib * GIB,
        )
        for name in names
    )
