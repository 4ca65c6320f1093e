"""What vLLM and Ray cannot do together with stages, or with each other: rows of a table, each with its source.

They fail late, on the GPUs, and in words about code; here they are told at once and with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import ModelFacts

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Guard:
    """One thing that does not go together."""

    broken: Callable[[Arguments, ModelFacts], bool]
    why: str
    """A clause; {architecture}, {ray} and {vllm} are the model's and the image's."""
    instead: str
    source: str


def _speculates(*methods: str) -> Callable[[Arguments, ModelFacts], bool]:
    def broken(arguments: Arguments, model: ModelFacts) -> bool:
        config = arguments.get("speculative_config")
        return isinstance(config, Mapping) and config.get("method") in methods

    return broken


def _given(name: str) -> Callable[[Arguments, ModelFacts], bool]:
    return lambda arguments, model: bool(arguments.get(name))


NO_STAGES: Final[tuple[Guard, ...]] = (
    Guard(
        lambda arguments, model: model.supports_pipeline is False,
        "vLLM cannot cut {architecture} into stages",
        "write pipeline: 1 and spread the model over the GPUs of one node with spec.parallelism.tensor",
        "is_pp_supported_model, vllm/model_executor/models/registry.py",
    ),
    Guard(
        _given("enable_return_routed_experts"),
        "engine.args.enable_return_routed_experts needs the whole model in one stage",
        "leave it out, or write pipeline: 1",
        "vllm/config/vllm.py: incompatible with pipeline parallelism",
    ),
    Guard(
        _speculates("eagle3"),
        "speculative decoding by eagle3 needs the whole model in one stage",
        "take another method, or write pipeline: 1",
        "vllm/config/vllm.py: EAGLE3 with pipeline parallelism",
    ),
    Guard(
        _speculates("dspark"),
        "speculative decoding by dspark needs the whole model in one stage",
        "take another method, or write pipeline: 1",
        "vllm/v1/worker/gpu/spec_decode/dspark/utils.py",
    ),
    Guard(
        lambda arguments, model: arguments.get("mm_tensor_ipc") == "torch_shm",
        "engine.args.mm_tensor_ipc: torch_shm needs the whole model on one GPU",
        "leave it out, or write pipeline: 1",
        "vllm/config/model.py: not supported with pipeline_parallel_size > 1",
    ),
)
"""What keeps a model from having more than one stage."""

PAIRS: Final[Mapping[str, str]] = {"2.60": "0.32"}
"""Ray's minor version, and the newest vLLM that its ray.serve.llm can import: 0.33 moved
vllm.entrypoints.launchers.cli_args, which ray/llm/_internal/serve/engines/vllm/vllm_models.py imports."""


def bars_stages(spec: Spec, model: ModelFacts) -> Guard | None:
    """The first row that keeps the model in one stage."""
    arguments = spec.engine.args or {}
    return next((guard for guard in NO_STAGES if guard.broken(arguments, model)), None)


def told(guard: Guard, model: ModelFacts) -> str:
    """Its reason, as a clause."""
    return guard.why.format(architecture=model.architecture or "this architecture")


def pair(spec: Spec, model: ModelFacts | None) -> str | None:
    """Ray and vLLM of the serving image go together."""
    if model is None or not model.ray or not model.vllm:
        return None
    newest = PAIRS.get(".".join(model.ray.split(".")[:2]))
    if newest is None or _number(model.vllm) <= _number(newest):
        return None
    return (
        f"The serving image has Ray {model.ray} and vLLM {model.vllm}, but this Ray can serve no vLLM newer than "
        f"{newest}: build the image with the pair of serving_image/pyproject.toml, or leave spec.serving.image out."
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
