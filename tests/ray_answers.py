"""What Ray's dashboard answers, in the shapes of Ray 2.60 that ``rayspan.cluster.ray`` reads, for tests without Ray."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web
from rayspan.render import names

Object = dict[str, Any]
Replicas = Sequence[Sequence[str]]
"""Of each replica the addresses of its stages' pods, in order."""


def application(
    app: Object, status: str, state: str, replicas: Replicas, takes: Iterable[str] = ()
) -> Object:
    """``/api/serve/applications/`` of an application of serveConfigV2, with its replicas all in this state, and addresses
    where an ingress takes requests."""
    engine = app["deployments"][0]["name"]
    deployments = {
        engine: {
            "message": "",
            "replicas": [_replica(index, state, one[0]) for index, one in enumerate(replicas)],
        },
        names.INGRESS_DEPLOYMENT: {
            "message": "",
            "replicas": [_replica(f"i{index}", state, ip) for index, ip in enumerate(takes)],
        },
    }
    shown = {"status": status, "message": "", "deployments": deployments, "deployed_app_config": app}
    return {"applications": {app["name"]: shown}}


def _replica(name: int | str, state: str, ip: str) -> Object:
    return {"replica_id": f"r{name}", "state": state, "actor_id": f"a{name}", "node_ip": ip}


def rows(request: web.Request, addresses: Iterable[str], replicas: Replicas) -> Object:
    """``/api/v0/TABLE``: the nodes at these addresses, or the actors of these replicas, of which none is dead."""
    found: list[Object] = []
    asked = request.query
    if request.match_info["table"] == "nodes":
        found = [{"node_id": ip, "node_ip": ip, "state": "ALIVE"} for ip in addresses]
    elif "DEAD" not in asked.getall("filter_values", []) or "!=" in asked.getall("filter_predicates", []):
        for index, stages in enumerate(replicas):
            group = {"placement_group_id": f"pg{index}", "state": "ALIVE"}
            found.append({"actor_id": f"a{index}", "class_name": "ServeReplica", **group})
            found += [
                {
                    "actor_id": f"w{index}-{stage}",
                    "class_name": "RayWorkerProc",
                    "node_id": ip,
                    "name": f"vllm_Worker_{index}_PP{stage}",
                    **group,
                }
                for stage, ip in enumerate(stages)
            ]
    return {"data": {"result": {"result": found}}}
