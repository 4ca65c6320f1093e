"""How often nodes are read: shared for some seconds, anew where somebody waits for the answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.cluster.nodes import KEPT_SECONDS, Nodes


class Cluster:
    """Stands in for the API server: one node, whose GPUs change; counts how often it is asked."""

    def __init__(self) -> None:
        self.gpus, self.asked = 1, 0

    async def find(self, kind: kinds.Kind, **_: str) -> list[dict[str, Any]]:
        if kind != kinds.NODE:
            return []
        self.asked += 1
        gpus = self.gpus
        await asyncio.sleep(0)
        return [{"metadata": {"name": "a"}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}]


def gpus(found: Any) -> list[int]:
    return [node.gpus for node in found]


async def test_a_reading_is_shared_until_it_is_old_or_one_is_wanted_anew() -> None:
    cluster, now = Cluster(), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0])
    assert gpus(await nodes.read("ns", "one")) == [1]
    cluster.gpus, now[0] = 2, now[0] + KEPT_SECONDS / 2
    assert gpus(await nodes.read("ns", "two")) == [1], "kept"
    assert gpus(await nodes.read("ns", "two", anew=True)) == [2], "wanted anew"
    cluster.gpus, now[0] = 3, now[0] + KEPT_SECONDS
    assert gpus(await nodes.read("ns", "one")) == [3], "old"


async def test_many_who_want_one_anew_share_it() -> None:
    cluster, now = Cluster(), [100.0]

    def clock() -> float:
        now[0] += 0.001
        return now[0]

    nodes = Nodes(cast(Client, cluster), clock)
    await asyncio.gather(*(nodes.read("ns", str(each), anew=True) for each in range(100)))
    assert cluster.asked <= 2
