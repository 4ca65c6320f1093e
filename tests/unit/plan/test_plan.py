"""The planner's answers, word for word."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import ModelFacts, NodeFacts, Taint
from rayspan.plan.plan import plan
from rayspan.plan.types import Answer, Invalid, Plan, Unplaceable

HOST = "kubernetes.io/hostname"
LLAMA = ModelFacts(80, "LlamaForCausalLM", attention_heads=64, kv_heads=8, supports_pipeline=True)


def node(name: str, gpus: int = 1, held: int = 0, **more: Any) -> NodeFacts:
    labels = {HOST: name, **more.pop("labels", {})}
    return NodeFacts(name, labels, gpus=gpus, gpus_held_by_others=held, **more)


def spec(parallelism: dict[str, Any] | None = None, **more: Any) -> Spec:
    return Spec.model_validate({"model": {"id": "m"}, "parallelism": parallelism or {}, **more})


def on(*hosts: str | None, layers: tuple[int, ...] = ()) -> dict[str, Any]:
    stages: list[dict[str, Any]] = [{"nodeSelector": {HOST: host}} if host else {} for host in hosts]
    for stage, count in zip(stages, layers, strict=False):
        stage["layers"] = count
    return {"stages": stages}


A, B = node("gpu-a"), node("gpu-b")
HEAD = node("head", 0)

INVALID: dict[str, tuple[Spec, ModelFacts | None, str]] = {
    "pipeline and stages of different length": (
        spec({"pipeline": 3, **on("gpu-a", "gpu-b")}),
        LLAMA,
        "spec.parallelism.pipeline is 3, but spec.parallelism.stages has 2 entries: make them equal, or "
        "leave pipeline out.",
    ),
    "layers for some stages only": (
        spec(on("gpu-a", "gpu-b", layers=(40,))),
        LLAMA,
        "spec.parallelism.stages[1].layers is missing, while other stages have theirs: give layers for every "
        "stage or for none.",
    ),
    "layers that do not sum to the model's": (
        spec(on("gpu-a", "gpu-b", layers=(38, 40))),
        LLAMA,
        "spec.parallelism.stages[].layers sum to 38 + 40 = 78, but the model has 80 layers: write layers that "
        "sum to 80, such as 38 and 42, or leave layers out.",
    ),
    "layers so far off that the last stage cannot make it good": (
        spec(on("gpu-a", "gpu-b", layers=(90, 10))),
        LLAMA,
        "spec.parallelism.stages[].layers sum to 90 + 10 = 100, but the model has 80 layers: write layers that "
        "sum to 80, such as 40 and 40, or leave layers out.",
    ),
    "more stages than layers": (
        spec({"pipeline": 4}),
        ModelFacts(2),
        "spec.parallelism.pipeline asks for 4 stages, but the model has 2 layers and every stage needs at "
        "least one: write 2 stages at most.",
    ),
    "heads that tensor does not divide": (
        spec({"tensor": 3}),
        ModelFacts(32, attention_heads=32),
        "spec.parallelism.tensor is 3, but the model's 32 attention heads cannot be shared evenly by 3: write "
        "1, 2, 4, 8, 16 or 32.",
    ),
    "an architecture that vLLM cannot cut": (
        spec({"pipeline": 2}),
        ModelFacts(24, "WhisperForConditionalGeneration", supports_pipeline=False),
        "spec.parallelism.pipeline asks for 2 stages, but vLLM cannot cut WhisperForConditionalGeneration into "
        "stages: write pipeline: 1 and spread the model over the GPUs of one node with "
        "spec.parallelism.tensor.",
    ),
    "nothing known of the model and no layers given": (
        spec({"pipeline": 2}),
        None,
        "The number of the model's layers is not known here: give spec.parallelism.stages[].layers, or the "
        "number itself (offline: --layers).",
    ),
}

TEMPLATES: dict[str, tuple[Any, str]] = {
    "a spec that is a list": ({"spec": []}, "spec is a list: write a map, as in a pod."),
    "metadata that is empty": ({"metadata": None}, "metadata is empty: give it a value, or leave it out."),
    "containers that are a map": (
        {"spec": {"containers": {"name": "ray"}}},
        "spec.containers: write a list of maps, as in a pod.",
    ),
    "a container without a name": (
        {"spec": {"containers": [{"image": "i"}]}},
        "spec.containers has one without a name: Ray's container is named ray.",
    ),
    "a selector of numbers": (
        {"spec": {"nodeSelector": {"pool": 1}}},
        "spec.nodeSelector: write a map of labels to texts, as in a pod.",
    ),
    "a grace that is a text": (
        {"spec": {"terminationGracePeriodSeconds": "30s"}},
        "spec.terminationGracePeriodSeconds is '30s': write a whole number of seconds.",
    ),
}

UNPLACEABLE: dict[str, tuple[Spec, list[NodeFacts], str]] = {
    "a selector that no node matches, with the nearest names": (
        spec(on("gpu-c", "gpu-b")),
        [A, B, HEAD],
        "spec.parallelism.stages[0].nodeSelector {kubernetes.io/hostname: gpu-c} matches no node: "
        "kubernetes.io/hostname is gpu-a or gpu-b here.",
    ),
    "a label that no node has": (
        spec({"stages": [{"nodeSelector": {"gpu-pool": "big"}}]}),
        [node("gpu-a", labels={"gpu.pool": "big"})],
        "spec.parallelism.stages[0].nodeSelector {gpu-pool: big} matches no node: no node has a label "
        "gpu-pool; the closest labels are gpu.pool.",
    ),
    "labels that exist on different nodes": (
        spec({"stages": [{"nodeSelector": {"pool": "big", "zone": "b"}}]}),
        [
            node("gpu-a", labels={"pool": "big", "zone": "a"}),
            node("gpu-b", labels={"pool": "s", "zone": "b"}),
        ],
        "spec.parallelism.stages[0].nodeSelector {pool: big, zone: b} matches no node: each label exists, but "
        "no node has all of them.",
    ),
    "a selector of the pod template that no node matches": (
        spec({}, serving={"podTemplate": {"spec": {"nodeSelector": {"pool": "big"}}}}),
        [node("gpu-a", labels={"pool": "small"})],
        "spec.serving.podTemplate.spec.nodeSelector {pool: big} matches no node: pool is small here.",
    ),
    "a selected node that is cordoned": (
        spec(on("gpu-a")),
        [node("gpu-a", cordoned=True), B],
        "spec.parallelism.stages[0].nodeSelector {kubernetes.io/hostname: gpu-a} matches only gpu-a "
        "(cordoned): make one of them ready, uncordon it, or add a toleration to "
        "spec.serving.podTemplate.spec.tolerations.",
    ),
    "nodes with a taint that is not tolerated, or not ready": (
        spec({}),
        [node("gpu-a", taints=(Taint("team", "x", "NoSchedule"),)), node("gpu-b", ready=False)],
        "Stage 0 could run on only gpu-a (its taint team=x:NoSchedule is not tolerated) and gpu-b (not "
        "ready): make one of them ready, uncordon it, or add a toleration to "
        "spec.serving.podTemplate.spec.tolerations.",
    ),
    "no node with a GPU": (
        spec({}),
        [HEAD],
        "Stage 0 could run on only head, which offers no GPUs (allocatable nvidia.com/gpu is 0): select nodes "
        "with GPUs, or install the GPUs' device plugin there.",
    ),
    "a cluster without nodes": (spec({}), [], "The cluster has no nodes."),
    "tensor beyond the largest node": (
        spec({"tensor": 4, "pipeline": 2}),
        [node("gpu-a", 2), node("gpu-b", 2)],
        "spec.parallelism.tensor is 4 and all GPUs of a stage sit on one node, but the largest node that stage "
        "0 may use, gpu-b, has 2 GPUs (4 x 2 stages = 8 GPUs per replica): write tensor: 2 or less, or select "
        "larger nodes.",
    ),
    "more stages than nodes": (
        spec({"pipeline": 3}),
        [A, B, HEAD],
        "Stages 0, 1 and 2 need 3 nodes, for every stage has its own, but only 2 nodes (gpu-a and gpu-b) may "
        "hold them: write fewer stages, select more nodes, or let stages share a node by giving them the same "
        "kubernetes.io/hostname.",
    ),
    "more stages than nodes that can take pods": (
        spec({"pipeline": 2}),
        [A, node("gpu-b", ready=False)],
        "Stages 0 and 1 need 2 nodes, for every stage has its own, but only 1 node (gpu-a) may hold them "
        "(gpu-b is left out: not ready): write fewer stages, select more nodes, or let stages share a node by "
        "giving them the same kubernetes.io/hostname.",
    ),
    "more replicas than the nodes hold": (
        spec({"pipeline": 2}, replicas=2),
        [A, B],
        "2 replicas x 2 stages x 1 GPU = 4 GPUs for stages 0 and 1, but 2 nodes (gpu-a and gpu-b) have 2 GPUs, "
        "room for 2 of these 4 stage pods: write spec.replicas: 1, or add nodes.",
    ),
    "more replicas than the one pinned node holds": (
        spec(on("gpu-a", "gpu-b"), replicas=3),
        [node("gpu-a", 2), node("gpu-b", 8)],
        "3 replicas x 1 stage x 1 GPU = 3 GPUs for stage 0, but 1 node (gpu-a) has 2 GPUs, room for 2 of these "
        "3 stage pods: write spec.replicas: 2 or less, or add nodes.",
    ),
    "stages that share a host with too few GPUs": (
        spec(on("gpu-a", "gpu-a")),
        [A, B],
        "1 replica x 2 stages x 1 GPU = 2 GPUs for stages 0 and 1, but 1 node (gpu-a) has 1 GPU, room for 1 of "
        "these 2 stage pods: write fewer stages, or add nodes.",
    ),
    "GPUs that others hold": (
        spec(on("gpu-a", "gpu-b")),
        [A, node("gpu-b", held=1)],
        "waiting for GPUs on gpu-b (other pods hold 1 of its 1 GPU): stage 1 needs 1 free GPU for each of 1 "
        "replica; it starts by itself when they are free.",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_only_an_edit_helps(case: str) -> None:
    wanted, model, message = INVALID[case]
    assert plan(wanted, model, [A, B, HEAD], None) == Invalid(message)


@pytest.mark.parametrize("case", TEMPLATES)
def test_a_pod_template_of_another_shape_is_refused(case: str) -> None:
    template, message = TEMPLATES[case]
    answer = plan(spec({}, serving={"podTemplate": template}), LLAMA, [A, B], None)
    assert answer == Invalid(f"spec.serving.podTemplate.{message}")


@pytest.mark.parametrize("case", UNPLACEABLE)
def test_the_cluster_cannot_hold_it(case: str) -> None:
    wanted, nodes, message = UNPLACEABLE[case]
    assert plan(wanted, LLAMA, nodes, None) == Unplaceable(message)


def planned(answer: Answer) -> Plan:
    assert isinstance(answer, Plan), answer
    return answer


AMD = [node(f"amd-{i}", 1, gpu_resource="amd.com/gpu", labels={"pool": "amd"}) for i in (1, 2)]

FITS: dict[str, tuple[Spec, list[NodeFacts], str, tuple[int, ...]]] = {
    "one stage per GPU node where nothing is said": (spec({}), [A, B, HEAD], "TP1xPP2", (40, 40)),
    "GPU nodes shared by the replicas": (
        spec({}, replicas=2),
        [node(f"n{i}") for i in range(5)],
        "TP1xPP2",
        (40, 40),
    ),
    "nodes whose GPUs others hold are not planned on": (
        spec({}),
        [A, node("gpu-b", held=1), node("gpu-c")],
        "TP1xPP2",
        (40, 40),
    ),
    "uneven layers are the owner's": (
        spec(on("gpu-a", "gpu-b", layers=(38, 42))),
        [A, B],
        "TP1xPP2",
        (38, 42),
    ),
    "a tolerated taint keeps nobody away": (
        spec(
            {"pipeline": 2},
            serving={"podTemplate": {"spec": {"tolerations": [{"key": "team", "value": "x"}]}}},
        ),
        [
            node("gpu-a", taints=(Taint("team", "x", "NoSchedule"),)),
            node("gpu-b", taints=(Taint("nvidia.com/gpu", "present", "NoSchedule"),)),
        ],
        "TP1xPP2",
        (40, 40),
    ),
    "two replicas of a stage share one big node": (
        spec({"tensor": 4, **on("gpu-a", "gpu-b")}, replicas=2),
        [node("gpu-a", 8), node("gpu-b", 8)],
        "TP4xPP2",
        (40, 40),
    ),
    "stages asked to share a host": (spec(on("gpu-a", "gpu-a")), [node("gpu-a", 2)], "TP1xPP2", (40, 40)),
    "the kind of GPU that the stages select": (
        spec({"stages": [{"nodeSelector": {"pool": "amd"}}, {"nodeSelector": {"pool": "amd"}}]}),
        [A, B, node("gpu-c"), *AMD],
        "TP1xPP2",
        (40, 40),
    ),
    "the kind of GPU that most nodes have": (
        spec({}),
        [A, B, node("amd", 8, gpu_resource="amd.com/gpu")],
        "TP1xPP2",
        (40, 40),
    ),
}


@pytest.mark.parametrize("case", FITS)
def test_it_fits(case: str) -> None:
    wanted, nodes, layout, layers = FITS[case]
    answer = planned(plan(wanted, LLAMA, nodes, None))
    assert (answer.layout, answer.layers) == (layout, layers)


def test_the_explanation_says_each_decision() -> None:
    answer = planned(plan(spec({}), ModelFacts(7), [A, B, node("gpu-c", cordoned=True)], None))
    assert answer.explanation == (
        "Tensor parallel 1: spec.parallelism.tensor is left out.",
        "2 pipeline stages: 2 nodes with 1 GPU to give, shared by 1 replica.",
        "7 layers cut evenly into 4 and 3; spare layers go to the middle stages first, for the first stage also "
        "holds the embedding and the last the output head.",
        "Each stage runs on a node of its own (gpu-a or gpu-b).",
        "2 stages x 1 GPU = 2 of nvidia.com/gpu per replica.",
        "Left out: gpu-c (cordoned).",
    )
    answer = planned(
        plan(spec({"tensor": 1, **on("gpu-b", "gpu-a", layers=(4, 3))}), ModelFacts(7), [A, B], None)
    )
    assert answer.explanation == (
        "Tensor parallel 1, as spec.parallelism.tensor says.",
        "2 pipeline stages, as spec.parallelism.stages says.",
        "Layers per stage 4 and 3, as spec.parallelism.stages says.",
        "Stage 0 on a node with {kubernetes.io/hostname: gpu-b} (gpu-b) and stage 1 on a node with "
        "{kubernetes.io/hostname: gpu-a} (gpu-a).",
        "2 stages x 1 GPU = 2 of nvidia.com/gpu per replica.",
    )


def test_the_same_facts_give_the_same_plan_whatever_their_order() -> None:
    nodes = [node(f"n{i}") for i in range(6)]
    assert plan(spec({}), LLAMA, nodes, None) == plan(spec({}), LLAMA, nodes[::-1], None)


def test_a_running_plan_is_kept_when_nodes_come_and_go() -> None:
    running = planned(plan(spec({}), LLAMA, [A, B], None))
    for nodes in ([A, B, node("gpu-c")], [A], [node("gpu-a", cordoned=True), B]):
        assert planned(plan(spec({}), LLAMA, nodes, running)).layers == (40, 40)


def test_a_running_plan_gives_way_to_an_edit() -> None:
    running = planned(plan(spec({}), LLAMA, [A, B], None))
    assert planned(plan(spec({"pipeline": 1}), LLAMA, [A, B], running)).layers == (80,)
    swapped = planned(plan(spec(on("gpu-b", "gpu-a")), LLAMA, [A, B], running))
    assert [stage.nodes for stage in swapped.stages] == [("gpu-b",), ("gpu-a",)]


def test_more_replicas_of_a_running_plan_are_checked_against_the_nodes() -> None:
    running = planned(plan(spec({}), LLAMA, [A, B], None))
    refused = plan(spec({}, replicas=2), LLAMA, [A, B], running)
    assert isinstance(refused, Unplaceable)
    nodes = [A, B, node("gpu-c"), node("gpu-d")]
    more = planned(plan(spec({}, replicas=2), LLAMA, nodes, running))
    assert (more.layers, more.replicas) == ((40, 40), 2)
    fewer = planned(plan(spec({}), LLAMA, [A, B], more))
    assert (fewer.layers, fewer.replicas) == ((40, 40), 1)


def test_a_spec_with_layers_is_trusted_where_neither_model_nor_nodes_are_known() -> None:
    answer = planned(plan(spec(on("gpu-a", "gpu-b", layers=(4, 4))), None, None, None))
    assert answer.layers == (4, 4)
    assert [stage.nodes for stage in answer.stages] == [(), ()]


def test_no_replicas_still_have_a_plan_and_wait_for_nobody() -> None:
    busy = [node("gpu-a", held=1), node("gpu-b", held=1)]
    assert planned(plan(spec({}, replicas=0), LLAMA, busy, None)).replicas == 1


def test_a_large_cluster_is_planned_in_no_time() -> None:
    nodes = [node(f"n{i}", 8, labels={"pool": f"p{i % 64}"}) for i in range(1024)]
    stages = [{"nodeSelector": {"pool": f"p{i}"}} for i in range(64)]
    apart = spec({"tensor": 2, "stages": stages}, replicas=64)
    assert planned(plan(apart, LLAMA, nodes, None)).pipeline == 64
    together = spec({"tensor": 2, "pipeline": 64}, replicas=64)
    assert planned(plan(together, LLAMA, nodes, None)).pipeline == 64
    assert isinstance(plan(spec({"pipeline": 64}, replicas=1000), LLAMA, nodes, None), Unplaceable)
