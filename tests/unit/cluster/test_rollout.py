"""What is carried to the cluster, and what of a former owner is left alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest
from kubernetes.aio.client.api_client import ApiClient
from rayspan import errors
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.cluster import rollout
from rayspan.cluster.client import Client
from rayspan.cluster.memory import Memory
from rayspan.cluster.metrics import Window
from rayspan.cluster.observe import Observer
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import Insiders, RenderSettings, objects
from rayspan.render.names import CLUSTER_REVISION, RENDERED_BY
from rayspan.report.observed import Observed, PodView, RayClusterView, Unknown, WorkerGroupView
from rayspan.settings import Settings

PLAN = Plan(1, (StagePlan(0, 4, {}, ()), StagePlan(1, 4, {}, ())), "nvidia.com/gpu")
SERVICE = "/apis/ray.io/v1/namespaces/llm/rayservices/tiny"
CLUSTERS = "/apis/ray.io/v1/namespaces/llm/rayclusters"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/llm/networkpolicies"
SECRET = "/api/v1/namespaces/llm/secrets/tiny-ray-token"
KEY = b"k" * 32
PEER: dict[str, Any] = {"podSelector": {}}
SETTINGS = RenderSettings(serving_image="serving:1")
WITH_POLICIES = replace(SETTINGS, insiders=Insiders((PEER,), (PEER,)))
GOING = "2026-01-01T00:00:00Z"
Object = dict[str, Any]


class Store(Client):
    """Stands in for the API server, to put the fault there: objects of a former owner, half deleted.

    Reads are answered from ``things``, by their paths; writes are remembered and change nothing.
    """

    def __init__(self, **things: Object) -> None:
        super().__init__(cast(ApiClient, None), 1.0)
        self.things = things
        self.writes: list[tuple[str, str]] = []
        self.bodies: list[Any] = []

    async def _request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Object:
        if method != "GET":
            self.writes.append((method, path))
            self.bodies.append(body)
            return self.things.get(path, {})
        if path in self.things:
            return self.things[path]
        if path.endswith(("rayclusters", "pods")):
            return {"items": [thing for at, thing in self.things.items() if at.startswith(f"{path}/")]}
        raise errors.NotFound(404, "NotFound", path)


def deployment(replicas: int = 1, uid: str = "u-new", strategy: str = "Recreate") -> LLMDeployment:
    return LLMDeployment.model_validate(
        {
            "metadata": {"name": "tiny", "namespace": "llm", "uid": uid},
            "spec": {"model": {"id": "tiny"}, "replicas": replicas, "updateStrategy": {"type": strategy}},
        }
    )


def service(owner: str, **metadata: Any) -> Object:
    """A RayService as ``owner`` applied it."""
    (made,) = objects(deployment(uid=owner), PLAN, SETTINGS)
    return {**made, "metadata": {**made["metadata"], "uid": f"service-of-{owner}", **metadata}}


def cluster(name: str, owner: str, revision: str) -> Object:
    """A RayCluster as KubeRay makes it."""
    owners = [{"kind": "RayService", "name": "tiny", "uid": f"service-of-{owner}", "controller": True}]
    metadata = {"annotations": {CLUSTER_REVISION: revision}, "ownerReferences": owners}
    return {"kind": "RayCluster", "metadata": {"name": name, "uid": name, **metadata}, "spec": {}}


def memory(**fields: Any) -> Memory:
    return Memory("u-new", Window(60.0), **fields)


async def carried(
    store: Store, remembered: Memory | None = None, now: float = 1000.0, settings: RenderSettings = SETTINGS
) -> str | None:
    wanted = objects(deployment(), PLAN, settings)
    return await rollout.roll_out(store, deployment(), wanted, remembered or memory(), KEY, now)


async def test_a_ray_service_of_a_former_owner_that_is_going_is_waited_for() -> None:
    store = Store(**{SERVICE: service("u-old", deletionTimestamp=GOING)})
    assert await carried(store) is None
    assert ("PATCH", SERVICE) not in store.writes


async def test_a_ray_service_that_another_version_rendered_for_the_same_is_not_touched() -> None:
    live = service("u-new")
    live["metadata"]["annotations"] |= {RENDERED_BY: "0.0.9", CLUSTER_REVISION: "of-then"}
    live["spec"]["rayClusterConfig"]["rayVersion"] = "2.59.0"
    store = Store(**{SERVICE: live, f"{CLUSTERS}/now": cluster("now", "u-new", "of-then")})
    remembered = memory(secret_wanted=False)
    assert await carried(store, remembered) is None
    assert store.writes == []
    assert remembered.rendered[CLUSTER_REVISION] == "of-then"
    assert await carried(store, remembered, settings=WITH_POLICIES) is None
    assert store.writes == [("PATCH", f"{POLICIES}/tiny-ray"), ("PATCH", f"{POLICIES}/tiny-serve")]


async def test_a_ray_service_of_another_owner_that_stays_is_told() -> None:
    refusal = await carried(Store(**{SERVICE: service("u-old")}))
    assert refusal is not None
    assert "does not belong to this LLMDeployment" in refusal


def policy(name: str, owner: str) -> Object:
    metadata = {"name": name, "uid": f"uid-of-{name}", "ownerReferences": [{"uid": owner}]}
    return {"kind": "NetworkPolicy", "metadata": metadata}


async def test_where_no_policies_are_made_those_that_were_go_and_are_looked_for_once() -> None:
    store = Store(
        **{
            SERVICE: service("u-new"),
            f"{POLICIES}/tiny-ray": policy("tiny-ray", "u-new"),
            f"{POLICIES}/tiny-serve": policy("tiny-serve", "someone else"),
        }
    )
    remembered = memory()
    assert await carried(store, remembered) is None
    assert [path for method, path in store.writes if method == "DELETE"] == [f"{POLICIES}/tiny-ray"]
    await carried(store, remembered)
    assert [method for method, _ in store.writes].count("DELETE") == 1


async def test_policies_are_applied_before_the_ray_service_and_none_is_removed() -> None:
    store = Store(**{SERVICE: service("u-new")})
    assert await carried(store, settings=WITH_POLICIES) is None
    assert [path for method, path in store.writes if method == "PATCH"] == [
        SECRET,
        f"{POLICIES}/tiny-ray",
        f"{POLICIES}/tiny-serve",
        SERVICE,
    ]
    assert "DELETE" not in [method for method, _ in store.writes]


async def test_old_clusters_of_this_ray_service_go_and_those_of_another_stay() -> None:
    live = service("u-new")
    now = live["metadata"]["annotations"][CLUSTER_REVISION]
    store = Store(
        **{
            SERVICE: live,
            f"{CLUSTERS}/old": cluster("old", "u-new", "before"),
            f"{CLUSTERS}/new": cluster("new", "u-new", now),
            f"{CLUSTERS}/former": cluster("former", "u-old", "before"),
        }
    )
    assert await carried(store) is None
    assert [path for method, path in store.writes if method == "DELETE"] == [f"{CLUSTERS}/old"]


ADOPTED: dict[str, tuple[Object | None, bool, bool]] = {
    "its own is adopted": (service("u-new"), True, True),
    "none there is no plan, and not looked for again": (None, False, True),
    "that of a former owner is looked for again": (service("u-old"), False, False),
    "one that is going is looked for again": (service("u-new", deletionTimestamp=GOING), False, False),
}


@pytest.mark.parametrize("case", ADOPTED)
async def test_of_recorded_plans(case: str) -> None:
    live, adopted, settled = ADOPTED[case]
    store, remembered = Store(**({SERVICE: live} if live else {})), memory()
    found = await rollout.running_plan(store, deployment(), remembered)
    assert (found is not None, remembered.plan_read) == (adopted, settled)


async def test_the_plan_of_a_former_owner_is_not_remembered_either() -> None:
    store = Store(**{SERVICE: service("u-old", deletionTimestamp=GOING)})
    remembered = memory(plan=PLAN)
    assert await rollout.running_plan(store, deployment(), remembered) is None
    store.things = {SERVICE: service("u-new")}
    assert await rollout.running_plan(store, deployment(), remembered) is not None


async def test_the_secret_is_written_once_and_again_only_for_a_pod_that_waits_for_it() -> None:
    store, remembered = Store(**{SERVICE: service("u-new")}), memory()

    async def writes(now: float) -> int:
        await carried(store, remembered, now)
        return store.writes.count(("PATCH", SECRET))

    assert [await writes(now) for now in (1000.0, 1002.0, 1100.0)] == [1, 1, 1]
    remembered.secret_wanted = rollout.lacks_secret(seen(pods=(pod("CreateContainerConfigError"),)))
    assert [await writes(now) for now in (1102.0, 1104.0, 1200.0)] == [2, 2, 2]
    remembered.secret_wanted = True
    assert [await writes(now) for now in (1112.0, 1131.0, 1132.0)] == [2, 2, 3]


def pod(reason: str | None) -> PodView:
    return PodView(
        name="p", uid="p", cluster="c", group="stage-0", head=False, node="n", ip=None, phase="Pending",
        ready=False, terminating=False, restarts=0, image="i", created_at=0.0, waiting_reason=reason,
    )  # fmt: skip


def seen(**fields: Any) -> Observed:
    nothing: Object = dict.fromkeys(("ray_service", "ray_cluster", "serve", "completion"))
    return Observed(**{"at": 0.0, "pods": (), **nothing, **fields})


LACKING: dict[str, tuple[Any, bool]] = {
    "a container that cannot be configured": ((pod(None), pod("CreateContainerConfigError")), True),
    "an image that is pulled": ((pod("ImagePullBackOff"),), False),
    "no pods": ((), False),
    "pods that cannot be read": (Unknown("pods cannot be read"), False),
}


@pytest.mark.parametrize("case", LACKING)
def test_a_missing_secret_shows_in(case: str) -> None:
    pods, lacking = LACKING[case]
    assert rollout.lacks_secret(seen(pods=pods)) is lacking


def groups(count: int) -> tuple[WorkerGroupView, ...]:
    return tuple(WorkerGroupView(f"stage-{i}", count, (), count, count) for i in (0, 1))


PATCHED: dict[str, tuple[Observed, list[tuple[str, list[int]]]]] = {
    "more replicas leave the old cluster as it is, which is about to go": (
        seen(ray_cluster=RayClusterView("old", groups(1)), pending_cluster=RayClusterView("new", groups(1))),
        [("new", [2, 2])],
    ),
    "more replicas reach the pending cluster where the old one has them": (
        seen(ray_cluster=RayClusterView("old", groups(2)), pending_cluster=RayClusterView("new", groups(1))),
        [("new", [2, 2])],
    ),
    "fewer replicas do not reach the pending cluster": (
        seen(ray_cluster=RayClusterView("old", groups(2)), pending_cluster=RayClusterView("new", groups(3))),
        [],
    ),
    "nothing is scaled while pods cannot be read": (
        seen(ray_cluster=RayClusterView("old", groups(1)), pods=Unknown("pods cannot be read")),
        [],
    ),
}


@pytest.mark.parametrize("case", PATCHED)
async def test_during_a_rollout(case: str) -> None:
    found, expected = PATCHED[case]
    store = Store()
    await rollout.scale(store, deployment(2, strategy="NewCluster"), PLAN, found)
    assert [
        (
            path.removeprefix(f"{CLUSTERS}/"),
            [step["value"] for step in body if step["path"].endswith("/replicas")],
        )
        for (_, path), body in zip(store.writes, store.bodies, strict=True)
    ] == expected


PENDING: dict[str, tuple[Object, str, str | None]] = {
    "beside the one that serves": (
        {"activeServiceStatus": {"rayClusterName": "a"}, "pendingServiceStatus": {"rayClusterName": "b"}},
        "a",
        "b",
    ),
    "not while it is the only one": ({"pendingServiceStatus": {"rayClusterName": "b"}}, "b", None),
    "not before KubeRay has made it": (
        {"activeServiceStatus": {"rayClusterName": "a"}, "pendingServiceStatus": {"rayClusterName": "x"}},
        "a",
        None,
    ),
    "not when there is none": ({"activeServiceStatus": {"rayClusterName": "a"}}, "a", None),
}


@pytest.mark.parametrize("case", PENDING)
async def test_the_pending_cluster_is_seen(case: str) -> None:
    status, serving, pending = PENDING[case]
    store = Store(**{SERVICE: {**service("u-new"), "status": status}})
    store.things |= {f"{CLUSTERS}/{name}": cluster(name, "u-new", "r") for name in ("a", "b")}
    session = cast(aiohttp.ClientSession, None)  # no pod to ask
    observer = Observer(store, session, Settings(), KEY, asyncio.get_running_loop().time)
    seen = await observer.belongings(deployment(), "nvidia.com/gpu")
    found = await observer.observe(deployment(), memory(), seen)
    assert isinstance(found.ray_cluster, RayClusterView)
    assert found.ray_cluster.name == serving
    assert (found.pending_cluster.name if found.pending_cluster else None) == pending
