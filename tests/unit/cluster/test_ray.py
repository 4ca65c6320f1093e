"""Ray's answers, in the shapes of Ray 2.60, become one view of the application."""

from __future__ import annotations

import asyncio
from typing import Any

from rayspan.cluster.ray import Dashboard, serve_view
from rayspan.report.observed import PodView, RankView


def pod(name: str, ip: str) -> PodView:
    return PodView(
        name=name, uid=name, cluster="c", group="stage-0", head=False, node="n", ip=ip, phase="Running",
        ready=True, terminating=False, restarts=0, image="i", created_at=0.0,
    )  # fmt: skip


def replica(replica_id: str, actor: str, ip: str, state: str = "RUNNING") -> dict[str, Any]:
    return {
        "replica_id": replica_id, "state": state, "actor_id": actor, "node_ip": ip, "node_id": "x",
        "actor_name": f"SERVE_REPLICA::tiny#LLMServer:tiny#{replica_id}",
        "node_instance_id": "instance",
    }  # fmt: skip


def worker(actor: str, name: str, node: str, group: str = "pg1", state: str = "ALIVE") -> dict[str, Any]:
    return {
        "actor_id": actor, "class_name": "RayWorkerProc", "name": name, "node_id": node, "state": state,
        "placement_group_id": group,
    }  # fmt: skip


PODS = [pod("pod-a", "10.0.0.1"), pod("pod-b", "10.0.0.2")]
NODES = [
    {"node_id": "na", "node_ip": "10.0.0.1", "state": "ALIVE"},
    {"node_id": "nb", "node_ip": "10.0.0.2", "state": "ALIVE"},
    {"node_id": "old", "node_ip": "10.0.0.2", "state": "DEAD"},
]


def details(**app: Any) -> dict[str, Any]:
    deployments = {
        "LLMServer:tiny": {"message": "", "replicas": [replica("r1", "a1", "10.0.0.1")]},
        "OpenAiIngress": {"message": "", "replicas": [replica("i1", "a2", "10.0.0.2", "STARTING")]},
    }
    return {
        "applications": {"tiny": {"status": "RUNNING", "message": "", "deployments": deployments, **app}},
    }


SERVER = {"actor_id": "a1", "class_name": "ServeReplica:tiny:LLMServer", "placement_group_id": "pg1"}


class Told(Dashboard):
    """A dashboard whose answers are given."""

    def __init__(self, shown: dict[str, Any]) -> None:
        self.shown, self.asked = shown, 0

    async def _get(self, path: str, query: list[tuple[str, str]]) -> dict[str, Any]:
        self.asked += 1
        return self.shown if path == "/api/serve/applications/" else {}


def test_the_tables_are_read_again_when_serve_says_something_else() -> None:
    async def looks() -> None:
        ray = Told(details())
        first = await ray.serve("tiny", PODS)
        assert first is not None and ray.asked == 4
        assert await ray.serve("tiny", PODS, first) is first and ray.asked == 5
        ray.shown = details(status="UNHEALTHY")
        assert await ray.serve("tiny", PODS, first) is not first
        assert ray.asked > 6

    asyncio.run(looks())


def test_ranks_belong_to_the_replica_of_their_placement_group() -> None:
    actors = [
        SERVER,
        worker("w1", "vllm_Worker_ab_c1_TP1_PP1", "nb"),
        worker("w2", "vllm_Worker_ab_c1_TP0_PP1", "nb"),
        worker("w3", "vllm_Worker_ab_c1_TP0_PP0", "na"),
        worker("w4", "vllm_Worker_ab_c1_TP1_PP0", "na"),
        worker("w5", "vllm_Worker_other_TP0_PP0", "na", group="pg2"),
    ]
    view = serve_view(details(), "tiny", actors, NODES, PODS)
    assert view.replicas[0].pod == "pod-a"
    assert view.replicas[0].ranks == (
        RankView(0, 0, "ALIVE", "pod-a"),
        RankView(0, 1, "ALIVE", "pod-a"),
        RankView(1, 0, "ALIVE", "pod-b"),
        RankView(1, 1, "ALIVE", "pod-b"),
    )


def test_names_without_tensor_or_stage_mean_rank_0() -> None:
    for name, stage, tensor in (
        ("vllm_Worker_x", 0, 0), ("vllm_Worker_x_PP1", 1, 0), ("vllm_Worker_x_TP3", 0, 3),
    ):  # fmt: skip
        view = serve_view(details(), "tiny", [SERVER, worker("w", name, "na")], NODES, PODS)
        assert [(rank.stage, rank.tensor) for rank in view.replicas[0].ranks] == [(stage, tensor)]


def test_a_rank_on_a_dead_node_is_in_no_pod() -> None:
    view = serve_view(details(), "tiny", [SERVER, worker("w", "vllm_Worker_x_PP1", "old")], NODES, PODS)
    assert view.replicas[0].ranks == (RankView(1, 0, "ALIVE", None),)


def test_of_a_dead_and_a_live_actor_for_one_rank_the_later_listed_counts() -> None:
    actors = [
        worker("w1", "vllm_Worker_x_PP1", "old", state="DEAD"),
        SERVER,
        worker("w2", "vllm_Worker_x_PP1", "nb"),
    ]
    view = serve_view(details(), "tiny", actors, NODES, PODS)
    assert view.replicas[0].ranks == (RankView(1, 0, "ALIVE", "pod-b"),)


def test_proxies_are_told_by_pod() -> None:
    proxies = {
        "na": {"node_ip": "10.0.0.1", "status": "HEALTHY"},
        "gone": {"node_ip": "10.0.0.9", "status": "UNHEALTHY"},
    }
    view = serve_view(details(last_deployed_time_s=7) | {"proxies": proxies}, "tiny", [], NODES, PODS)
    assert (view.proxies, view.deployed_at) == ({"pod-a": "HEALTHY"}, 7.0)


def test_ingresses_are_told_from_engines() -> None:
    view = serve_view(details(), "tiny", [], NODES, PODS)
    assert [(one.id, one.pod, one.state) for one in view.ingresses] == [("i1", "pod-b", "STARTING")]


def test_without_words_of_its_own_an_application_has_its_deployments() -> None:
    deployments = {"LLMServer:tiny": {"message": "out of GPUs", "replicas": []}}
    view = serve_view(details(deployments=deployments), "tiny", [], NODES, PODS)
    assert view.message == "out of GPUs"
    assert serve_view(details(message="failed"), "tiny", [], NODES, PODS).message == "failed"
    only_names = "Failed to update the deployments ['LLMServer:tiny']."
    for more, words in ((deployments, "out of GPUs"), ({"LLMServer:tiny": {"replicas": []}}, only_names)):
        view = serve_view(details(message=only_names, deployments=more), "tiny", [], NODES, PODS)
        assert view.message == words
