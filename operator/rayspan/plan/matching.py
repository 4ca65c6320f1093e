"""Whether stages can be spread over nodes: a maximum flow, and, where it falls short, which stages do.

Source to each stage with capacity its demand, stage to each node that it may use without limit, node to
sink with the node's supply. Edmonds and Karp: augment along shortest paths, O(V E^2) at worst, in practice
a handful of passes; stages that may use the very same nodes count as one. Where the flow leaves a demand unmet, what can be reached from it in the residual graph
is a set of stages whose nodes are all used up by that very set (Hall): the shortage to show to the owner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Shortage:
    """Stages that together want more than all nodes they may use can give."""

    stages: tuple[int, ...]
    nodes: tuple[int, ...]
    demand: int
    supply: int


def shortage(
    demand: Sequence[int], supply: Sequence[int], allowed: Sequence[Sequence[int]]
) -> Shortage | None:
    """None when every demand can be met; ``allowed[i]`` holds the nodes that stage ``i`` may use."""
    alike: dict[tuple[int, ...], list[int]] = {}
    for stage, nodes in enumerate(allowed):
        alike.setdefault(tuple(nodes), []).append(stage)
    classes = list(alike.values())
    found = _unmet([sum(demand[i] for i in members) for members in classes], supply, list(alike))
    if found is None:
        return None
    stages = tuple(sorted(stage for index in found for stage in classes[index]))
    short = tuple(sorted({node for stage in stages for node in allowed[stage]}))
    return Shortage(stages, short, sum(demand[i] for i in stages), sum(supply[i] for i in short))


def _unmet(
    demand: Sequence[int], supply: Sequence[int], allowed: Sequence[Sequence[int]]
) -> list[int] | None:
    """The demands that fall short together, after a maximum flow."""
    used: list[dict[int, int]] = [{} for _ in demand]
    left_demand, left_supply = list(demand), list(supply)
    while True:
        came_from, end = _search(left_demand, left_supply, allowed, used)
        if end is None:
            break
        _augment(left_demand, left_supply, used, came_from, end)
    if not any(left_demand):
        return None
    return [index for kind, index in came_from if kind == "stage"]


_Vertex = tuple[str, int]


def _search(
    demand: Sequence[int],
    supply: Sequence[int],
    allowed: Sequence[Sequence[int]],
    used: Sequence[dict[int, int]],
) -> tuple[dict[_Vertex, _Vertex | None], int | None]:
    """Breadth first from every unmet stage; ends at the first node that has something left."""
    came_from: dict[_Vertex, _Vertex | None] = {("stage", i): None for i, unmet in enumerate(demand) if unmet}
    queue = deque(came_from)
    holders: dict[int, list[int]] = {}
    for stage, flows in enumerate(used):
        for node in flows:
            holders.setdefault(node, []).append(stage)
    while queue:
        vertex = queue.popleft()
        kind, index = vertex
        if kind == "stage":
            following: list[_Vertex] = [("node", node) for node in allowed[index]]
        else:
            following = [("stage", stage) for stage in holders.get(index, ())]
        for step in following:
            if step in came_from:
                continue
            came_from[step] = vertex
            if step[0] == "node" and supply[step[1]]:
                return came_from, step[1]
            queue.append(step)
    return came_from, None


def _augment(
    demand: list[int],
    supply: list[int],
    used: list[dict[int, int]],
    came_from: dict[_Vertex, _Vertex | None],
    end: int,
) -> None:
    """Push as much as the path to ``end`` carries."""
    path: list[_Vertex] = []
    vertex: _Vertex | None = ("node", end)
    while vertex is not None:
        path.append(vertex)
        vertex = came_from[vertex]
    path.reverse()
    amount = min(demand[path[0][1]], supply[end])
    for here, there in pairwise(path):
        if here[0] == "node":  # back along a flow: that stage takes it elsewhere
            amount = min(amount, used[there[1]][here[1]])
    for here, there in pairwise(path):
        if here[0] == "stage":
            flows = used[here[1]]
            flows[there[1]] = flows.get(there[1], 0) + amount
        else:
            flows = used[there[1]]
            flows[here[1]] -= amount
            if not flows[here[1]]:
                del flows[here[1]]
    demand[path[0][1]] -= amount
    supply[end] -= amount
