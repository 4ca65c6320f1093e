"""Ray's dashboard on the head pod: the Serve application, its replicas, and where every vLLM worker runs.

Shapes are those of Ray 2.60: ``ServeInstanceDetails`` (ray/serve/schema.py), ``ActorState`` and ``NodeState``
(ray/util/state/common.py). A vLLM worker is an actor of class ``RayWorkerProc`` named
``vllm_Worker_<instance>[_TP<i>][_PP<j>]`` (vllm/v1/executor/ray_utils.py); it belongs to the replica whose
actor is in the same placement group, and runs on the pod that has the address of its Ray node.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from rayspan import errors
from rayspan.cluster.placement_groups import waiting_groups
from rayspan.render import names, serve_revision
from rayspan.report.observed import PodView, RankView, ReplicaView, ServeView

_HEADER: Final = "x-ray-authorization"
_WORKER_CLASS: Final = "RayWorkerProc"
_WORKER: Final = re.compile(r"^vllm_Worker_.+?(?:_TP(?P<tensor>\d+))?(?:_PP(?P<stage>\d+))?(?:_PCP\d+)?$")
_LIMIT: Final = "10000"
"""Most rows that Ray's API server gives in one answer; its default is 100."""
_ENGINE: Final = "LLMServer"
_NAMES_ONLY: Final = ("Failed to update the deployments", "The deployments [")
"""How Serve says of an application that some of its deployments failed (serve/_private/application_state.py)."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Seen:
    """The application as Serve alone tells it, and with the ranks of Ray's tables."""

    told: ServeView
    whole: ServeView


class Dashboard:
    """The dashboard of one head pod."""

    def __init__(self, session: aiohttp.ClientSession, ip: str, token: str, timeout_seconds: float) -> None:
        self._session = session
        self._base = f"http://{ip}:{names.DASHBOARD_PORT}"
        self._headers = {_HEADER: f"Bearer {token}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def serve(self, application: str, pods: Iterable[PodView], last: Seen | None = None) -> Seen | None:
        """The application as Ray has it; None: Ray does not know it yet. Raises SourceFailed.

        ``last``: what was seen of it before, if that does for the ranks as long as Serve says nothing else.
        """
        details = await self._get("/api/serve/applications/", [("api_type", "declarative")])
        if application not in details.get("applications", {}):
            return None
        told = serve_view(details, application, (), (), pods)
        if last is not None and last.told == told:
            return last
        alive, dead, nodes, groups = await asyncio.gather(
            self._rows("actors", ("state", "!=", "DEAD")),
            self._rows("actors", ("class_name", "=", _WORKER_CLASS), ("state", "=", "DEAD")),
            self._rows("nodes"),
            self._groups(details["applications"][application]),
        )
        return Seen(told, serve_view(details, application, [*dead, *alive], nodes, pods, groups))

    async def _groups(self, application: Row) -> list[Row]:
        """While replicas start, for only then one can wait for its place."""
        if application.get("status") == "RUNNING":
            return []
        return await self._rows("placement_groups", ("state", "!=", "REMOVED"))

    async def _rows(self, table: str, *filters: tuple[str, str, str]) -> list[Row]:
        query: list[tuple[str, str]] = [("limit", _LIMIT), ("detail", "1"), ("timeout", "3")]
        for key, predicate, value in filters:
            query += [("filter_keys", key), ("filter_predicates", predicate), ("filter_values", value)]
        answer = await self._get(f"/api/v0/{table}", query)
        rows: list[Row] = ((answer.get("data") or {}).get("result") or {}).get("result") or []
        return rows

    async def _get(self, path: str, query: list[tuple[str, str]]) -> dict[str, Any]:
        try:
            async with self._session.get(
                self._base + path, headers=self._headers, timeout=self._timeout, params=query
            ) as response:
                if response.status != 200:
                    words = (await response.text(errors="replace"))[:200]
                    raise errors.SourceFailed(
                        f"Ray's dashboard answered {path} with HTTP {response.status}: {words}"
                    )
                answer = await response.json(content_type=None)
        except TimeoutError as error:
            raise errors.SourceFailed(
                f"Ray's dashboard did not answer {path} within {self._timeout.total:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.SourceFailed(
                f"Ray's dashboard cannot be read at {self._base}{path}: {error}"
            ) from error
        if not isinstance(answer, dict):
            raise errors.SourceFailed(f"Ray's dashboard answered {path} with something else than an object")
        return answer


def serve_view(
    details: Row,
    application: str,
    actors: Sequence[Row],
    nodes: Sequence[Row],
    pods: Iterable[PodView],
    groups: Sequence[Row] = (),
) -> ServeView:
    """The application from the answers of the dashboard. Of two actors for one rank the later listed counts."""
    app = details["applications"][application]
    pod_by_ip = {pod.ip: pod.name for pod in pods if pod.ip and pod.phase == "Running"}
    pod_by_node = {
        node["node_id"]: pod_by_ip.get(node.get("node_ip") or "")
        for node in nodes
        if node.get("state") == "ALIVE"
    }
    group_by_actor: dict[str, str] = {}
    ranks: dict[str, dict[tuple[int, int], RankView]] = {}
    for actor in actors:
        group = actor.get("placement_group_id")
        if not group:
            continue
        group_by_actor[actor["actor_id"]] = group
        name = _WORKER.match(actor.get("name") or "") if actor.get("class_name") == _WORKER_CLASS else None
        if name:
            stage, tensor = int(name["stage"] or 0), int(name["tensor"] or 0)
            ranks.setdefault(group, {})[stage, tensor] = RankView(
                stage=stage,
                tensor=tensor,
                state=actor.get("state", ""),
                pod=pod_by_node.get(actor.get("node_id") or ""),
            )

    def views(deployment: Row) -> Iterable[ReplicaView]:
        for replica in deployment.get("replicas") or ():
            group = group_by_actor.get(replica.get("actor_id") or "", "")
            yield ReplicaView(
                id=replica["replica_id"],
                state=replica.get("state", ""),
                actor_id=replica.get("actor_id"),
                pod=pod_by_ip.get(replica.get("node_ip") or "") or replica.get("node_instance_id"),
                ranks=tuple(rank for _, rank in sorted(ranks.get(group, {}).items())),
            )

    deployments = app.get("deployments") or {}
    return ServeView(
        status=app.get("status", ""),
        message=_message(app),
        replicas=tuple(
            view
            for name, one in sorted(deployments.items())
            if name.startswith(_ENGINE)
            for view in views(one)
        ),
        ingresses=tuple(
            view
            for name, one in sorted(deployments.items())
            if name.startswith(names.INGRESS_DEPLOYMENT)
            for view in views(one)
        ),
        revision=serve_revision((app.get("deployed_app_config") or {}).get("args") or {}),
        proxies={
            pod: proxy.get("status", "")
            for proxy in (details.get("proxies") or {}).values()
            if (pod := pod_by_ip.get(proxy.get("node_ip") or ""))
        },
        waiting=waiting_groups(groups, actors, nodes, pod_by_node),
        deployed_at=float(app.get("last_deployed_time_s") or 0.0),
    )


def _message(app: Row) -> str:
    """The application's own words, unless they only name the deployments that failed: these say why."""
    own = str(app.get("message") or "")
    words = (one.get("message") for _, one in sorted((app.get("deployments") or {}).items()))
    theirs = "\n".join(str(one) for one in words if one)
    return theirs if theirs and (not own or own.startswith(_NAMES_ONLY)) else own
