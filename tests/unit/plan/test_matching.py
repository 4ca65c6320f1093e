"""The flow against brute force, and the even split's promises."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import ModelFacts, NodeFacts, Taint
from rayspan.plan.layers import even_split
from rayspan.plan.matching import shortage
from rayspan.plan.nodes import tolerated
from rayspan.plan.plan import plan
from rayspan.plan.types import Plan


@st.composite
def flows(draw: st.DrawFn) -> tuple[list[int], list[int], list[list[int]]]:
    supply = draw(st.lists(st.integers(0, 3), min_size=0, max_size=4))
    demand = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    nodes = st.sets(st.sampled_from(range(len(supply)))) if supply else st.just(set())
    return demand, supply, [sorted(draw(nodes)) for _ in demand]


def brute(demand: list[int], supply: list[int], allowed: list[list[int]]) -> bool:
    """Try every node for every unit of demand."""
    units = [stage for stage, wanted in enumerate(demand) for _ in range(wanted)]
    for choice in product(*(allowed[stage] for stage in units)):
        if all(choice.count(node) <= supply[node] for node in set(choice)):
            return True
    return False


@settings(deadline=None, derandomize=True)
@given(flows())
def test_a_shortage_is_found_exactly_where_brute_force_finds_no_way(
    case: tuple[list[int], list[int], list[list[int]]],
) -> None:
    demand, supply, allowed = case
    found = shortage(demand, supply, allowed)
    assert (found is None) == brute(demand, supply, allowed)
    if found is not None:  # the shortage shown is one: these stages, on all their nodes
        assert found.demand == sum(demand[i] for i in found.stages) > found.supply
        assert set(found.nodes) == {node for i in found.stages for node in allowed[i]}
        assert found.supply == sum(supply[i] for i in found.nodes)


POOLS = ("a", "b")


@settings(deadline=None, derandomize=True)
@given(
    stages=st.lists(st.sampled_from([*POOLS, None]), min_size=1, max_size=4),
    pools=st.lists(st.sampled_from(POOLS), min_size=0, max_size=4),
)
def test_one_gpu_nodes_fit_exactly_when_brute_force_finds_distinct_nodes(
    stages: list[str | None], pools: list[str]
) -> None:
    nodes = [NodeFacts(f"n{i}", {"pool": pool}, gpus=1) for i, pool in enumerate(pools)]
    entries = [{"nodeSelector": {"pool": pool}} if pool else {} for pool in stages]
    spec = Spec.model_validate({"model": {"id": "m"}, "parallelism": {"stages": entries}})
    fits = any(
        all(wanted in (None, pool) for wanted, pool in zip(stages, order, strict=True))
        for order in permutations(pools, len(stages))
    )
    assert isinstance(plan(spec, ModelFacts(8), nodes, None), Plan) == fits


@settings(deadline=None, derandomize=True)
@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n))))
def test_an_even_split_sums_up_and_differs_by_one_at_most(case: tuple[int, int]) -> None:
    layers, stages = case
    split = even_split(layers, stages)
    assert (sum(split), len(split)) == (layers, stages)
    assert min(split) >= 1
    assert max(split) - min(split) <= 1
    assert split[-1] == min(split)  # the output head's stage never has a spare layer


def test_an_even_split_needs_a_layer_for_each_stage() -> None:
    with pytest.raises(ValueError, match="cannot cut 2 layers into 3 stages"):
        even_split(2, 3)


TAINT = Taint("team", "x", "NoSchedule")
TOLERATIONS: dict[str, tuple[dict[str, str], bool]] = {
    "the very same": ({"key": "team", "value": "x", "effect": "NoSchedule"}, True),
    "any effect": ({"key": "team", "value": "x"}, True),
    "another effect": ({"key": "team", "value": "x", "effect": "NoExecute"}, False),
    "another value": ({"key": "team", "value": "y"}, False),
    "whatever the value": ({"key": "team", "operator": "Exists"}, True),
    "everything": ({"operator": "Exists"}, True),
    "another key": ({"key": "other", "operator": "Exists"}, False),
}


@pytest.mark.parametrize("case", TOLERATIONS)
def test_tolerations_are_read_as_the_scheduler_reads_them(case: str) -> None:
    toleration, covered = TOLERATIONS[case]
    assert tolerated(TAINT, [toleration]) is covered


def test_a_taint_that_only_prefers_keeps_no_pod_away() -> None:
    assert tolerated(Taint("team", "x", "PreferNoSchedule"), [])
