"""Under what all this holds: versions, image, accelerator, the way of a request, and what limits the numbers."""

from __future__ import annotations

from collections.abc import Iterable

from rayspan.api.v1alpha1 import EnvironmentStatus
from rayspan.plan.facts import NodeFacts
from rayspan.report.observed import Unknown
from rayspan.report.placement import Placement
from rayspan.report.scene import Scene, known
from rayspan.report.words import bounded, count, listing

DATA_PATH_MAX = 1024


def environment(scene: Scene) -> EnvironmentStatus | None:
    """The environment record; None as long as nothing is known of it.

    While a source does not answer, what it said last stands.
    """
    given, model = scene.given, scene.given.model
    images = sorted({pod.image for pod in scene.pods if pod.image})
    nodes = _nodes(scene)
    record = EnvironmentStatus(
        ray=model.ray if model else None,
        vllm=model.vllm if model else None,
        python=model.python if model else None,
        kuberay=known(given.observed.kuberay),
        image=bounded(images[0] if len(images) == 1 else listing(images), 512) if images else None,
        backend=model.backend if model else None,
        accelerator=_one_of(node.gpu_product for node in nodes),
        accelerator_memory=_one_of(node.gpu_memory for node in nodes),
        data_path=_data_path(scene),
        constraints=_constraints(scene) or None,
    )
    observed = given.observed
    sources = (observed.ray_service, observed.pods, observed.serve, observed.kuberay, given.nodes)
    last = given.deployment.status.environment
    if last and any(isinstance(source, Unknown) for source in sources):
        record = last.model_copy(update=record.model_dump(exclude_none=True))
    return record if record.model_dump(exclude_none=True) else None


def _nodes(scene: Scene) -> list[NodeFacts]:
    """Nodes that stages run on."""
    names = {stage.node for stage in scene.placement.stages} if scene.placement else set()
    return [node for node in known(scene.given.nodes) or () if node.name in names]


def _one_of(values: Iterable[str | None]) -> str | None:
    found = sorted({value for value in values if value})
    return listing(found) if found else None


def _data_path(scene: Scene) -> str | None:
    """From the client to the last stage, with the nodes that each station was read back on."""
    places, serve = scene.placement, scene.serve
    if places is None or serve is None or scene.plan is None or not places.replicas:
        return None
    pods = {pod.name: pod.node for pod in scene.pods}
    entries = sorted({node for replica in serve.ingresses if replica.pod and (node := pods.get(replica.pod))})
    stations = ["client"]
    if scene.given.service:
        port = scene.given.observed.port or scene.given.deployment.spec.serving.port
        stations.append(f"Service {scene.given.service}:{port}")
    stations.append("HTTP proxy and ingress" + (f" on {listing(entries, 8)}" if entries else ""))
    for stage in scene.plan.stages:
        what = f"LLMServer with stage {stage.index}" if stage.index == 0 else f"stage {stage.index}"
        stations.append(f"{what} on {_where(places, stage.index)}")
    return bounded(" -> ".join(stations), DATA_PATH_MAX)


def _where(places: Placement, stage: int) -> str:
    nodes = sorted({place.node for place in places.stages if place.stage == stage and place.node})
    return listing(nodes, 8) or "no node yet"


def _constraints(scene: Scene) -> list[str]:
    plan, model = scene.plan, scene.given.model
    said: list[str] = []
    if plan:
        layers = sum(plan.layers)
        cut = f"{count(layers, 'layer')} in {count(plan.pipeline, 'stage')} of {count(plan.tensor, 'GPU')}"
        said.append(f"{(model and model.architecture) or 'Model'}: {cut}.")
    length = (scene.given.deployment.spec.engine.args or {}).get("max_model_len")
    if isinstance(length, int):
        said.append(f"Contexts of at most {length} tokens.")
    if model and model.backend == "cpu":
        said.append("CPU backend: the timings say nothing about GPUs.")
    return said
