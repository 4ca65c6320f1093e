"""A deployment that leaves the cut to Rayspan: refused with its arithmetic while no node is large enough, then cut and
served when one is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.llm import CPU_ENGINE, LLM, tiny
from tests.kubectl import get, kubectl

MEMORY = "nvidia.com/gpu.memory"
"""In MiB. The cache takes 64 of it, as the engine's
arguments say, and tiny 5 more, with what a pass needs: 73 in one stage, 71 in each of two."""
TOO_SMALL, FOR_TWO = 60, 72


def memory(mib: int | str) -> None:
    """Label both nodes."""
    kubectl("label", "nodes", "gpu-a", "gpu-b", "--overwrite", f"{MEMORY}={mib}")


@pytest.fixture
def unplanned(operator: None) -> Iterator[LLM]:
    """Applied while no node is large enough."""
    before = get("node", "gpu-a")["metadata"]["labels"][MEMORY]
    memory(TOO_SMALL)
    llm = LLM("unplanned")
    llm.apply(tiny(llm.name, parallelism=None, engine={"args": CPU_ENGINE}))
    yield llm
    llm.delete()
    memory(before)


def test_what_cannot_fit_is_told_and_starts_by_itself_when_it_can(unplanned: LLM) -> None:
    unplanned.wait("PlanAccepted", "False", timeout=90, reason="Unplaceable")
    told = unplanned.condition("PlanAccepted")["message"]
    print(f"\n{told}")
    assert (
        "5 MiB of weights and 64 MiB of KV cache (kv_cache_memory_bytes) do not fit on 2 nodes with " in told
    )
    memory(FOR_TWO)
    unplanned.wait("Ready", timeout=600)
    plan = unplanned.status["plan"]
    print("\n".join(plan["explanation"]))
    assert (plan["layout"], plan["layers"]) == ("TP1xPP2", [4, 4])
    assert unplanned.status["model"]["weights"]["source"] == "headers"
    assert [stage["stage"] for stage in unplanned.status["stages"]] == [0, 1]
    assert {stage["node"] for stage in unplanned.status["stages"]} == {"gpu-a", "gpu-b"}
