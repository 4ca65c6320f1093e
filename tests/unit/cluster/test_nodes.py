"""How often nodes are read: shared for some seconds, anew where somebody waits for the answer; and what is known of
them where they may not be read at all."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from rayspan import errors
from rayspan.cluster import kinds
from rayspan.cluster.client import Client
from rayspan.cluster.nodes import KEPT_SECONDS, REFUSED_SECONDS, SEEN_SECONDS, Nodes, vouched_facts
from rayspan.plan.facts import NodeFacts
from rayspan.render.names import DEPLOYMENT_LABEL
from rayspan.report.observed import Unknown
from rayspan.report.status import status

from tests.unit.report.conftest import World


class Cluster:
    """Stands in for the API server: one node, whose GPUs change; counts how often it is asked."""

    def __init__(self) -> None:
        self.gpus, self.asked, self.away = 1, 0, False

    async def find(self, kind: kinds.Kind, namespace: str | None = None, **_: str) -> list[dict[str, Any]]:
        if kind != kinds.NODE:
            return []
        self.asked += 1
        if self.away:
            raise errors.ApiUnavailable("nodes: away")
        gpus = self.gpus
        await asyncio.sleep(0)
        return [{"metadata": {"name": "a"}, "status": {"allocatable": {"nvidia.com/gpu": str(gpus)}}}]

    async def pages(self, kind: kinds.Kind, *_: Any, **__: str) -> AsyncIterator[list[dict[str, Any]]]:
        yield []


def gpus(found: Any) -> list[int]:
    return [node.gpus for node in found]


async def test_a_reading_is_shared_until_it_is_old_or_one_is_wanted_anew() -> None:
    cluster, now = Cluster(), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0])
    assert gpus(await nodes.read("ns", "one")) == [1]
    cluster.gpus, now[0] = 2, now[0] + KEPT_SECONDS / 2
    assert gpus(await nodes.read("ns", "two")) == [1], "kept"
    assert gpus(await nodes.read("ns", "two", age=0.0)) == [2], "wanted anew"
    cluster.gpus, now[0] = 3, now[0] + KEPT_SECONDS
    assert gpus(await nodes.read("ns", "one")) == [3], "old"


async def test_a_look_at_what_is_ready_makes_do_with_a_reading_of_a_minute() -> None:
    cluster, now = Cluster(), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0])
    await nodes.read("ns", "one")
    cluster.gpus, now[0] = 2, now[0] + SEEN_SECONDS - 1
    assert gpus(await nodes.seen("ns", "two")) == [1]
    now[0] += 1
    assert gpus(await nodes.seen("ns", "two")) == [2]


async def test_many_who_want_one_anew_share_it() -> None:
    cluster, now = Cluster(), [100.0]

    def clock() -> float:
        now[0] += 0.001
        return now[0]

    nodes = Nodes(cast(Client, cluster), clock)
    await asyncio.gather(*(nodes.read("ns", str(each), age=0.0) for each in range(100)))
    assert cluster.asked <= 2


async def test_readings_that_take_long_are_shared_for_a_while() -> None:
    cluster, now = Cluster(), [100.0]

    def clock() -> float:
        return now[0]

    nodes = Nodes(cast(Client, cluster), clock)
    nodes._took = 1.0  # as in a large cluster
    await nodes.read("ns", "a", age=0.0)
    nodes._took = 1.0
    now[0] += 3
    await nodes.read("ns", "b", age=0.0)
    assert cluster.asked == 1
    now[0] += 2
    await nodes.read("ns", "b", age=0.0)
    assert cluster.asked == 2


async def test_a_reading_that_takes_long_is_renewed_while_the_last_one_serves() -> None:
    cluster, now = Cluster(), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0])
    await nodes.read("ns", "a")
    nodes._took = 1.0  # as in a large cluster
    cluster.gpus, now[0] = 2, now[0] + 20
    assert [gpus(await nodes.read("ns", name)) for name in ("a", "b")] == [[1], [1]], "not waited for"
    for _ in range(9):
        await asyncio.sleep(0)
    assert (gpus(await nodes.read("ns", "a")), cluster.asked) == ([2], 2), "renewed once"
    nodes._took = 1.0
    cluster.gpus, now[0] = 3, now[0] + SEEN_SECONDS
    assert gpus(await nodes.read("ns", "a")) == [3], "too old to serve once more"


async def test_a_renewal_that_fails_is_left_to_those_who_have_to_wait() -> None:
    cluster, now = Cluster(), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0])
    await nodes.read("ns", "a")
    nodes._took = 1.0  # as in a large cluster
    cluster.away, now[0] = True, now[0] + 20
    for _ in range(9):
        assert gpus(await nodes.read("ns", "a")) == [1]
        await asyncio.sleep(0)
    now[0] += SEEN_SECONDS
    with pytest.raises(errors.ApiUnavailable):
        await nodes.read("ns", "a")


async def test_what_the_named_deployment_holds_itself_is_free_for_it() -> None:
    nodes = Nodes(
        cast(Client, Restricted(nodes=True, labels={DEPLOYMENT_LABEL: "one"})), lambda: 0.0, ("x", "y")
    )
    seen = {name: cast(Any, await nodes.read("x", name)) for name in ("one", "two")}
    assert {name: node.gpus_held_by_others for name, (node,) in seen.items()} == {"one": 2, "two": 4}


class Restricted:
    """Stands in for the API server where an operator serves two namespaces; records what it is asked for."""

    def __init__(self, *, nodes: bool, labels: dict[str, str] | None = None) -> None:
        self.nodes, self.labels, self.asked = nodes, labels or {}, list[tuple[str, str | None]]()

    async def find(self, kind: kinds.Kind, namespace: str | None = None, **_: str) -> list[dict[str, Any]]:
        self.asked.append((kind.name, namespace))
        if kind == kinds.NODE:
            if not self.nodes:
                raise errors.Forbidden(403, "Forbidden", "nodes is forbidden")
            return [{"metadata": {"name": "a"}, "status": {"allocatable": {"nvidia.com/gpu": "8"}}}]
        raise AssertionError("pods are asked for page by page")

    async def pages(
        self, kind: kinds.Kind, namespace: str | None = None, **_: str
    ) -> AsyncIterator[list[dict[str, Any]]]:
        self.asked.append((kind.name, namespace))
        if namespace is None:
            raise errors.Forbidden(403, "Forbidden", "pods is forbidden")
        found = pod("a", gpus="2", namespace=namespace)
        found["metadata"]["labels"] = self.labels
        yield [found]


def pod(
    node: str | None, phase: str = "Running", gpus: str = "0", namespace: str = "ns", **selector: str
) -> Any:
    return {
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {
            "nodeName": node,
            "nodeSelector": selector or None,
            "containers": [{"resources": {"limits": {"nvidia.com/gpu": gpus}}}],
        },
        "status": {"phase": phase},
    }


async def test_a_restricted_operator_asks_for_pods_where_it_may_only() -> None:
    cluster = Restricted(nodes=True)
    (node,) = cast(Any, await Nodes(cast(Client, cluster), lambda: 0.0, ("x", "y")).read("x", "one"))
    assert (node.gpus, node.gpus_held_by_others) == (8, 4)
    assert cluster.asked == [("Node", None), ("Pod", "x"), ("Pod", "y")]


async def test_refused_nodes_are_unknown_told_once_and_not_asked_for_at_every_pass(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster, now = Restricted(nodes=False), [100.0]
    nodes = Nodes(cast(Client, cluster), lambda: now[0], ("x",))
    for _ in range(3):
        assert await nodes.read("x", "one", age=0.0) == Unknown(
            "nodes may not be listed: nodes is forbidden (HTTP 403)"
        )
        now[0] += KEPT_SECONDS
    assert cluster.asked == [("Node", None)]
    now[0] += REFUSED_SECONDS
    await nodes.read("x", "one")
    assert cluster.asked == [("Node", None)] * 2
    assert [message.split(":")[0] for message in caplog.messages] == ["nodes may not be listed"]
    cluster.nodes, now[0] = True, now[0] + REFUSED_SECONDS
    assert gpus(await nodes.read("x", "one")) == [8], "a grant that came later is found"


VOUCHED: dict[str, tuple[list[Any], tuple[NodeFacts, ...]]] = {
    "a running pod proves its selector of its node": (
        [pod("a", pool="fast")],
        (NodeFacts("a", {"pool": "fast"}),),
    ),
    "several pods of a node prove together": (
        [pod("a", pool="fast"), pod("a", zone="1")],
        (NodeFacts("a", {"pool": "fast", "zone": "1"}),),
    ),
    "a pod without a selector proves nothing but the node": ([pod("a")], (NodeFacts("a"),)),
    "a product that is selected is known": (
        [pod("a", **{"nvidia.com/gpu.product": "H100", "nvidia.com/gpu.memory": "81559"})],
        (
            NodeFacts(
                "a",
                {"nvidia.com/gpu.product": "H100", "nvidia.com/gpu.memory": "81559"},
                gpu_product="H100",
                gpu_memory_bytes=81559 * 1024**2,
            ),
        ),
    ),
    "a pod that the kubelet has not taken in proves nothing": ([pod("a", "Pending", pool="fast")], ()),
    "a pod that the kubelet turned away proves nothing": ([pod("a", "Failed", pool="fast")], ()),
    "a pod without a node proves nothing": ([pod(None, "Pending", pool="fast")], ()),
}


@pytest.mark.parametrize(("pods", "facts"), VOUCHED.values(), ids=list(VOUCHED))
def test_what_pods_vouch_for(pods: list[Any], facts: tuple[NodeFacts, ...]) -> None:
    assert vouched_facts(pods) == facts


PROVEN: dict[str, tuple[list[Any], str]] = {
    "the stages' pods have the plan's selectors": (
        [pod(node, **{"kubernetes.io/hostname": node}) for node in ("gpu-a", "gpu-b")],
        "True Verified",
    ),
    "a stage's pod has another selector": (
        [pod("gpu-a", **{"kubernetes.io/hostname": "gpu-a"}), pod("gpu-b", pool="fast")],
        "False Misplaced",
    ),
    "a stage's pod was not seen to run": (
        [pod("gpu-a", **{"kubernetes.io/hostname": "gpu-a"})],
        "Unknown Unobserved",
    ),
}


@pytest.mark.parametrize(("pods", "expected"), PROVEN.values(), ids=list(PROVEN))
def test_placement_is_verified_by_what_pods_vouch_for(pods: list[Any], expected: str) -> None:
    given = dataclasses.replace(World().serving(), nodes=vouched_facts(pods))
    (found,) = (one for one in status(given).conditions or () if one.type == "PlacementVerified")
    assert f"{found.status} {found.reason}" == expected
