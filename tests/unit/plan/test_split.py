"""The exact split against trying everything, and what must hold for any split."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, combinations, product

import pytest
from rayspan.plan.split import FIRST, LAST, MIDDLE, Problem, Segment, Solution, solve

CHAINS = 2000


def random_problem(seed: int) -> Problem:
    """A chain of layers of different weight over up to 4 kinds of nodes; small, so that all can be tried."""
    dice = random.Random(seed)
    layers, kinds = dice.randint(1, 9), dice.randint(1, 4)
    stages = dice.randint(1, min(4, layers))
    work = [0, *accumulate(dice.choice((1, 1, 2, 5)) for _ in range(layers))]
    size = [0, *accumulate(dice.choice((1, 2, 3)) for _ in range(layers))]
    speed = [dice.choice((1.0, 1.5, 3.0)) for _ in range(kinds)]
    memory = [dice.randint(2, 20) for _ in range(kinds)]
    fixed = {place: dice.choice((0, 1, 3)) for place in (FIRST, MIDDLE, LAST)}
    barred = {(stage, kind) for stage in range(stages) for kind in range(kinds) if dice.random() < 0.15}
    return Problem(
        layers=layers,
        stages=stages,
        counts=[dice.randint(0, stages) for _ in range(kinds)],
        allowed=lambda stage, kind: (stage, kind) not in barred,
        seconds=lambda one: (fixed[one.place] + work[one.end] - work[one.begin]) / speed[one.kind],
        capacity=lambda one: memory[one.kind] - (size[one.end] - size[one.begin]),
    )


def all_solutions(problem: Problem) -> Iterator[Solution]:
    """Every split on every choice of kinds that fits."""
    last = problem.stages - 1
    for cuts in combinations(range(1, problem.layers), last):
        edges = (0, *cuts, problem.layers)
        for kinds in product(range(len(problem.counts)), repeat=problem.stages):
            if any(kinds.count(kind) > count for kind, count in enumerate(problem.counts)):
                continue
            if not all(problem.allowed(stage, kind) for stage, kind in enumerate(kinds)):
                continue
            places = [
                LAST if stage == last else MIDDLE if stage else FIRST for stage in range(problem.stages)
            ]
            parts = [
                Segment(kind, places[stage], edges[stage], edges[stage + 1])
                for stage, kind in enumerate(kinds)
            ]
            room = min(problem.capacity(part) for part in parts)
            if room >= 0:
                layers = tuple(part.end - part.begin for part in parts)
                yield Solution(layers, kinds, max(problem.seconds(part) for part in parts), room)


def test_the_split_equals_brute_force() -> None:
    """Objective by objective, for the split itself may be one of several that are as good."""
    solved = 0
    for seed in range(CHAINS):
        problem = random_problem(seed)
        everything = list(all_solutions(problem))
        found = solve(problem)
        if not everything:
            assert found is None, seed
            continue
        best = min(everything, key=lambda one: (one.seconds, -one.capacity))
        assert found is not None and (found.seconds, found.capacity) == (best.seconds, best.capacity), seed
        assert any((one.layers, one.kinds) == (found.layers, found.kinds) for one in everything), seed
        solved += 1
    assert solved > CHAINS / 3, "most chains must have a split, or nothing was compared"


@pytest.mark.parametrize("seed", range(100))
def test_more_memory_never_makes_it_worse(seed: int) -> None:
    problem = random_problem(seed)
    roomier = replace(problem, capacity=lambda one: problem.capacity(one) + 3)
    before, after = solve(problem), solve(roomier)
    if before is not None:
        assert after is not None and after.seconds <= before.seconds


def test_the_same_problem_has_the_same_answer() -> None:
    assert [solve(random_problem(seed)) for seed in range(50)] == [
        solve(random_problem(seed)) for seed in range(50)
    ]
