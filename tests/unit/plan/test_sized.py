"""Plans where the sizes of the model and of the GPUs are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import NodeFacts
from rayspan.plan.memory import GIB
from rayspan.plan.plan import plan
from rayspan.plan.types import Answer, Plan, Unplaceable

from tests.unit.plan.known import known, machines

LLAMA = known("meta-llama/Llama-3.1-70B-Instruct")
SMALL = known("meta-llama/Llama-3.1-8B")
H100 = "NVIDIA-H100-80GB-HBM3"
A100 = "NVIDIA-A100-SXM4-40GB"


def spec(parallelism: dict[str, Any] | None = None, replicas: int = 1, **arguments: Any) -> Spec:
    return Spec.model_validate(
        {
            "model": {"id": "m"},
            "replicas": replicas,
            "parallelism": parallelism or {},
            "engine": {"args": {"max_model_len": 8192, **arguments}},
        }
    )


def planned(answer: Answer) -> Plan:
    assert isinstance(answer, Plan), answer
    return answer


def refused(answer: Answer) -> str:
    assert isinstance(answer, Unplaceable), answer
    return answer.message


CUTS: dict[str, tuple[Spec, tuple[NodeFacts, ...], str, tuple[int, ...]]] = {
    "tensor parallel on one node comes before a pipeline over two": (
        spec(),
        machines(4, 2, H100, 80),
        "TP2xPP1",
        (80,),
    ),
    "a pipeline where no node holds it": (spec(), machines(4, 1, H100, 80), "TP1xPP2", (40, 40)),
    "no more stages than hold it": (spec(), machines(8, 1, A100, 40), "TP1xPP4", (20, 20, 20, 20)),
    "what the owner fixes stays": (
        spec({"tensor": 2, "pipeline": 2}),
        machines(4, 2, H100, 80),
        "TP2xPP2",
        (40, 40),
    ),
    "layers that the owner fixes stay": (
        spec({"stages": [{"layers": 38}, {"layers": 42}]}),
        machines(2, 2, H100, 80),
        "TP1xPP2",
        (38, 42),
    ),
    "smaller weights need fewer GPUs": (spec(quantization="fp8"), machines(4, 1, H100, 80), "TP1xPP1", (80,)),
    "the larger nodes are found among the smaller": (
        spec(),
        (*machines(4, 1, A100, 40), *machines(2, 1, H100, 80)),
        "TP1xPP2",
        (40, 40),
    ),
    "nodes of unknown memory are left out": (
        spec(),
        (*(replace(n, gpu_memory_bytes=None) for n in machines(1, 8, "other", 1)), *machines(2, 1, H100, 80)),
        "TP1xPP2",
        (40, 40),
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_cut(case: str) -> None:
    wanted, nodes, layout, layers = CUTS[case]
    found = planned(plan(wanted, LLAMA, nodes, None))
    assert (found.layout, found.layers) == (layout, layers)
    for stage in found.stages:
        assert stage.holding is not None and stage.holding.cache > 0
        assert stage.holding.weights + stage.holding.cache + stage.holding.headroom <= 80 * GIB


def test_a_small_model_stays_on_one_gpu() -> None:
    found = planned(plan(spec(), SMALL, machines(4, 8, H100, 80), None))
    assert found.layout == "TP1xPP1"
    assert found.explanation[0] == (
        "1 GPU per stage and 1 pipeline stage, on one node, since one suffices: the fewest GPUs that hold the weights "
        "and the cache of one request."
    )


def test_uneven_nodes_are_used_together_and_their_stages_pinned() -> None:
    nodes = (*machines(2, 1, A100, 40), *machines(1, 1, H100, 80))
    found = planned(plan(spec(), LLAMA, nodes, None))
    assert found.layout == "TP1xPP3"
    pools = [stage.pool["nvidia.com/gpu.product"] for stage in found.stages]
    assert sorted(pools) == [A100, A100, H100]
    assert found.layers[pools.index(H100)] == max(found.layers)
    assert all(stage.selector == stage.pool for stage in found.stages)


def test_the_arithmetic_is_told() -> None:
    found = planned(plan(spec(), LLAMA, machines(4, 1, H100, 80), None))
    assert found.explanation == (
        "1 GPU per stage and 2 pipeline stages: the fewest GPUs that hold the weights and the cache of one request.",
        f"Stage 0 holds 65.7 GiB of weights and 5.7 GiB of KV cache of 80 GiB ({H100}): 4 requests of 8192 tokens at "
        "once.",
        f"Stage 1 holds 65.7 GiB of weights and 4.7 GiB of KV cache of 80 GiB ({H100}): 3 requests of 8192 tokens at "
        "once.",
        "80 layers cut into 40 and 40, as vLLM would by itself; stage 1 is the slowest: a step of 32 sequences per stage takes 51.6 ms by prediction (estimated: the H200's measured share of the datasheet's 3.35 TB/s and "
        "990 TFLOP/s; six steps measured on one were within 4 %).",
        f"Each stage runs on a node of its own ({', '.join(node.name for node in machines(3, 1, H100, 80))} or "
        f"{machines(4, 1, H100, 80)[3].name}).",
        "2 stages x 1 GPU = 2 of nvidia.com/gpu per replica.",
    )
    assert found.cache_tokens == int(found.cache_tokens or 0) > 3 * 8192


REFUSALS: dict[str, tuple[Spec, tuple[NodeFacts, ...], str]] = {
    "too little memory, and what would do": (
        spec(),
        machines(2, 1, A100, 40),
        "131.4 GiB of weights and 2.5 GiB of KV cache for one request of 8192 tokens do not fit on 2 nodes with 1 GPU "
        "of 40 GiB, of which vLLM takes 92%: use 4 such nodes (TP1xPP4) or engine.args.quantization: fp8.",
    ),
    "a context that is too long": (
        spec(max_model_len=131072),
        machines(2, 1, H100, 80),
        "131.4 GiB of weights and 40 GiB of KV cache for one request of 131072 tokens do not fit on 2 nodes with 1 "
        "GPU of 80 GiB, of which vLLM takes 92%: use 3 such nodes (TP1xPP3), engine.args.quantization: fp8 or "
        "engine.args.max_model_len: 16384.",
    ),
    "a cache that the user made too small for one request": (
        spec(kv_cache_memory_bytes=1 << 20),
        machines(4, 1, H100, 80),
        "131.4 GiB of weights and 1 MiB of KV cache (kv_cache_memory_bytes) do not fit on 4 nodes with 1 GPU of 80 "
        "GiB: use engine.args.kv_cache_memory_bytes: 1342177280 or more.",
    ),
    "the same for a cut that is fixed": (
        spec({"tensor": 1, "pipeline": 1}),
        machines(2, 1, A100, 40),
        "131.4 GiB of weights and 2.5 GiB of KV cache for one request of 8192 tokens do not fit in 1 stage of 1 GPU on "
        "2 nodes with 1 GPU of 40 GiB, of which vLLM takes 92%: use larger GPUs or more than 1 of them per node.",
    ),
    "GPUs that others hold are waited for": (
        spec(),
        machines(2, 1, H100, 80, held=1),
        "waiting for GPUs on nvidia-h100-80gb-hbm3-0 (other pods hold 1 of its 1 GPU) and nvidia-h100-80gb-hbm3-1 "
        "(other pods hold 1 of its 1 GPU): stages 0 and 1 need 1 free GPU for each of 1 replica; it starts by itself "
        "when they are free.",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(case: str) -> None:
    wanted, nodes, message = REFUSALS[case]
    assert refused(plan(wanted, LLAMA, nodes, None)) == message


def test_gpus_that_others_hold_are_never_planned_onto() -> None:
    nodes = (*machines(2, 1, H100, 80, held=1), *machines(4, 1, A100, 40))
    found = planned(plan(spec(), LLAMA, nodes, None))
    assert found.layout == "TP1xPP4" and {name for stage in found.stages for name in stage.nodes} == {
        node.name for node in machines(4, 1, A100, 40)
    }


def test_the_same_facts_give_the_same_plan_and_a_running_one_stays() -> None:
    nodes = machines(4, 1, H100, 80)
    found = planned(plan(spec(), LLAMA, nodes, None))
    assert plan(spec(), LLAMA, tuple(reversed(nodes)), None) == found
    more = (*nodes, *machines(4, 8, H100, 80, first=4))
    assert planned(plan(spec(), LLAMA, more, found)).layout == found.layout


def test_engine_arguments_that_sizes_depend_on_are_planned_for_anew() -> None:
    nodes = machines(4, 1, H100, 80)
    running = planned(plan(spec(), LLAMA, nodes, None))
    assert (running.layout, running.sized_for) == ("TP1xPP2", {"max_model_len": 8192})
    assert planned(plan(spec(seed=7), LLAMA, nodes, running)).cache_tokens == running.cache_tokens
    halved = planned(plan(spec(quantization="fp8", enforce_eager=True), LLAMA, nodes, running))
    assert halved.layout == "TP1xPP1"
    longer = planned(plan(spec(max_model_len=131072), LLAMA, nodes, running))
    assert longer.layout == "TP1xPP3"
    assert "131072" in refused(plan(spec(max_model_len=131072), LLAMA, nodes[:2], running))


def test_each_replica_has_gpus_of_its_own() -> None:
    found = planned(plan(spec(replicas=2), LLAMA, machines(4, 1, H100, 80), None))
    assert found.layout == "TP1xPP2"
    assert isinstance(plan(spec(replicas=3), LLAMA, machines(4, 1, H100, 80), None), Unplaceable)


def test_more_replicas_keep_the_cut_and_its_pools() -> None:
    nodes = (*machines(4, 1, A100, 40), *machines(2, 1, H100, 80))
    one = planned(plan(spec(), LLAMA, nodes, None))
    assert all(stage.pool for stage in one.stages)
    more = (*nodes, *machines(2, 1, H100, 80, first=2))
    two = planned(plan(spec(replicas=2), LLAMA, more, one))
    assert (two.replicas, two.layers) == (2, one.layers)
    assert [stage.pool for stage in two.stages] == [stage.pool for stage in one.stages]
    assert [stage.holding for stage in two.stages] == [stage.holding for stage in one.stages]
    told = refused(plan(spec(replicas=2), LLAMA, nodes, one))
    assert told.startswith("2 replicas x 2 stages x 1 GPU = 4 GPUs"), told
