"""What the owner fixed, against itself and against the model: a chain of checks, the first no counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import ModelFacts
from rayspan.plan.guards import bars_stages, pair, told
from rayspan.plan.layers import even_split
from rayspan.plan.types import Invalid
from rayspan.plan.words import count, listed


def stages_and_pipeline(spec: Spec, model: ModelFacts | None) -> str | None:
    """``pipeline`` and the length of ``stages`` say the same."""
    cut = spec.parallelism
    if cut.pipeline is None or cut.stages is None or cut.pipeline == len(cut.stages):
        return None
    return (
        f"spec.parallelism.pipeline is {cut.pipeline}, but spec.parallelism.stages has "
        f"{count(len(cut.stages), 'entry', 'entries')}: make them equal, or leave pipeline out."
    )


def layers_for_all(spec: Spec, model: ModelFacts | None) -> str | None:
    """Layers are given for every stage or for none."""
    stages = spec.parallelism.stages or []
    missing = [index for index, stage in enumerate(stages) if stage.layers is None]
    if not missing or len(missing) == len(stages):
        return None
    return (
        f"spec.parallelism.stages[{missing[0]}].layers is missing, while other stages have theirs: "
        "give layers for every stage or for none."
    )


def layers_known(spec: Spec, model: ModelFacts | None) -> str | None:
    """Without facts of the model the spec itself must give the layers."""
    if model is not None or given_layers(spec):
        return None
    return (
        "The number of the model's layers is not known here: give spec.parallelism.stages[].layers, "
        "or the number itself (offline: --layers)."
    )


def pipeline_within_layers(spec: Spec, model: ModelFacts | None) -> str | None:
    """Every stage can have a layer."""
    pipeline = fixed_pipeline(spec)
    if model is None or pipeline is None or pipeline <= model.layers:
        return None
    where = "spec.parallelism.stages" if spec.parallelism.stages else "spec.parallelism.pipeline"
    return (
        f"{where} asks for {count(pipeline, 'stage')}, but the model has {count(model.layers, 'layer')} and "
        f"every stage needs at least one: write {count(model.layers, 'stage')} at most."
    )


def layers_sum(spec: Spec, model: ModelFacts | None) -> str | None:
    """The stages' layers are the model's."""
    layers = given_layers(spec)
    if model is None or not layers or sum(layers) == model.layers:
        return None
    last = layers[-1] + model.layers - sum(layers)
    better = (*layers[:-1], last) if last >= 1 else even_split(model.layers, len(layers))
    total = f"{' + '.join(map(str, layers))} = {sum(layers)}" if len(layers) > 1 else str(layers[0])
    return (
        f"spec.parallelism.stages[].layers sum to {total}, but the model has "
        f"{count(model.layers, 'layer')}: write layers that sum to {model.layers}, such as {listed(better)}, "
        "or leave layers out."
    )


def heads_divisible(spec: Spec, model: ModelFacts | None) -> str | None:
    """Tensor ranks share the attention heads evenly."""
    tensor = spec.parallelism.tensor
    if model is None or not model.attention_heads or tensor is None or model.attention_heads % tensor == 0:
        return None
    heads = model.attention_heads
    fitting = [size for size in range(1, min(heads, 64) + 1) if heads % size == 0]
    return (
        f"spec.parallelism.tensor is {tensor}, but the model's {heads} attention heads cannot be shared "
        f"evenly by {tensor}: write {listed(fitting, last='or')}."
    )


def pipeline_supported(spec: Spec, model: ModelFacts | None) -> str | None:
    """Nothing keeps the model in one stage."""
    pipeline = fixed_pipeline(spec)
    if model is None or pipeline is None or pipeline == 1:
        return None
    guard = bars_stages(spec, model)
    if guard is None:
        return None
    where = "spec.parallelism.stages" if spec.parallelism.stages else "spec.parallelism.pipeline"
    return f"{where} asks for {count(pipeline, 'stage')}, but {told(guard, model)}: {guard.instead}."


def pod_template_shape(spec: Spec, model: ModelFacts | None) -> str | None:
    """The parts of the pod template that are read here have the shape that Kubernetes gives them."""
    template = spec.serving.pod_template or {}
    field = "spec.serving.podTemplate"
    if empty := _empty(template, field):
        return f"{empty} is empty: give it a value, or leave it out."
    for key in ("metadata", "spec"):
        if not isinstance(template.get(key, {}), Mapping):
            return f"{field}.{key} is {_kind(template[key])}: write a map, as in a pod."
    for key in ("labels", "annotations"):
        if not isinstance(template.get("metadata", {}).get(key, {}), Mapping):
            return f"{field}.metadata.{key}: write a map of texts, as in a pod."
    pod = template.get("spec", {})
    for key in ("containers", "tolerations", "volumes"):
        things = pod.get(key, [])
        if not isinstance(things, list) or not all(isinstance(thing, Mapping) for thing in things):
            return f"{field}.spec.{key}: write a list of maps, as in a pod."
    if not all(isinstance(thing.get("name"), str) for thing in pod.get("containers", [])):
        return f"{field}.spec.containers has one without a name: Ray's container is named ray."
    selector = pod.get("nodeSelector", {})
    if not isinstance(selector, Mapping) or not all(isinstance(value, str) for value in selector.values()):
        return f"{field}.spec.nodeSelector: write a map of labels to texts, as in a pod."
    grace = pod.get("terminationGracePeriodSeconds", 0)
    if not isinstance(grace, int) or isinstance(grace, bool) or grace < 0:
        return f"{field}.spec.terminationGracePeriodSeconds is {grace!r}: write a whole number of seconds."
    return None


def _empty(value: object, path: str) -> str | None:
    """Path of the first null in it."""
    if isinstance(value, Mapping):
        parts = [(f"{path}.{key}", part) for key, part in value.items()]
    elif isinstance(value, list):
        parts = [(f"{path}[{index}]", part) for index, part in enumerate(value)]
    else:
        return path if value is None else None
    return next((found for where, part in parts if (found := _empty(part, where))), None)


def _kind(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else "a number"


CHECKS: Final[tuple[Callable[[Spec, ModelFacts | None], str | None], ...]] = (
    pod_template_shape,
    pair,
    stages_and_pipeline,
    layers_for_all,
    layers_known,
    pipeline_supported,
    pipeline_within_layers,
    layers_sum,
    heads_divisible,
)
"""In order of diagnosis: a later one may rely on the earlier ones."""


def contradiction(spec: Spec, model: ModelFacts | None) -> Invalid | None:
    """The first check that says no."""
    for check in CHECKS:
        message = check(spec, model)
        if message is not None:
            return Invalid(message)
    return None


def given_layers(spec: Spec) -> tuple[int, ...]:
    """Layers of the stages as the spec has them; empty if it leaves them out."""
    return tuple(stage.layers for stage in spec.parallelism.stages or [] if stage.layers is not None)


def fixed_pipeline(spec: Spec) -> int | None:
    """Number of stages as the spec has it, by either field; None: it is to be planned."""
    if spec.parallelism.stages:
        return len(spec.parallelism.stages)
    return spec.parallelism.pipeline
