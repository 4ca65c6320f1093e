"""What KubeRay, scheduler and kubelet would make of RayServices: RayClusters and running pods, in which nothing runs.

Every pod has the same address of this machine, where no port answers: so Ray's dashboard is looked for and refuses at
once, as while a cluster starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from tests.api.direct import POD, RAY_CLUSTER, RAY_SERVICE, Direct, Object

ADDRESS = "127.77.0.1"


async def pods_made(api: Direct, services: Iterable[Object], nodes: int) -> None:
    """For each RayService a RayCluster, a head and a pod per stage, spread over nodes ``gpu-0`` and so on."""
    await asyncio.gather(*(_made(api, one, number, nodes) for number, one in enumerate(services)))


async def _made(api: Direct, service: Object, number: int, nodes: int) -> None:
    metadata, config = service["metadata"], service["spec"]["rayClusterConfig"]
    namespace, name = metadata["namespace"], f"{metadata['name']}-fake"
    owner = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    cluster = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": metadata["labels"],
            "annotations": metadata["annotations"],
            "ownerReferences": [owner],
        },
        "spec": config,
    }
    made = await api.create(RAY_CLUSTER, namespace, cluster)
    active = {"status": {"activeServiceStatus": {"rayClusterName": name}}}
    await api.patch(RAY_SERVICE, namespace, f"{metadata['name']}/status", active)
    for index, pod in enumerate(_pods(made)):
        pod["spec"]["nodeName"] = f"gpu-{(number + index) % nodes}"
        await api.create(POD, namespace, pod)
        running = {
            "phase": "Running",
            "podIP": ADDRESS,
            "podIPs": [{"ip": ADDRESS}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await api.patch(POD, namespace, f"{pod['metadata']['name']}/status", {"status": running})


def _pods(cluster: Object) -> Iterator[Object]:
    metadata, spec = cluster["metadata"], cluster["spec"]
    groups = [("headgroup", "head", spec["headGroupSpec"])]
    groups += [(group["groupName"], "worker", group) for group in spec["workerGroupSpecs"]]
    owner = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    for name, kind, group in groups:
        template = group["template"]
        labels = {"ray.io/cluster": metadata["name"], "ray.io/group": name, "ray.io/node-type": kind}
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **template["metadata"],
                "name": f"{metadata['name']}-{name}",
                "namespace": metadata["namespace"],
                "labels": template["metadata"]["labels"] | labels,
                "ownerReferences": [owner],
            },
            "spec": dict(template["spec"]),
        }
