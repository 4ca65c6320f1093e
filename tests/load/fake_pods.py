"""What KubeRay, scheduler and kubelet would make of RayServices: RayClusters, Services and running pods, in which nothing
runs. Each pod has an address of this machine of its own, at which tests/load/fake_ray.py answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from rayspan.render import names

from tests.api.direct import POD, RAY_CLUSTER, RAY_SERVICE, SERVICE, Direct, Object
from tests.load.fake_ray import SERVING_PORT, FakeRay


async def pods_made(api: Direct, ray: FakeRay, services: Iterable[Object], nodes: int) -> None:
    """For each RayService a RayCluster, a Service, a head and a pod per stage, spread over nodes ``gpu-0`` and so on."""
    await asyncio.gather(*(_made(api, ray, one, number, nodes) for number, one in enumerate(services)))


async def _made(api: Direct, ray: FakeRay, service: Object, number: int, nodes: int) -> None:
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
    seen = {"observedGeneration": metadata["generation"], "activeServiceStatus": {"rayClusterName": name}}
    await api.patch(RAY_SERVICE, namespace, f"{metadata['name']}/status", {"status": seen})
    pods = list(_pods(made))
    head, *stages = (f"127.{1 + number // 250}.{number % 250}.{1 + index}" for index in range(len(pods)))
    ray.serve(head, service, stages)
    await api.create(SERVICE, namespace, _service(metadata["name"], namespace))
    for index, (pod, address) in enumerate(zip(pods, (head, *stages), strict=True)):
        pod["spec"]["nodeName"] = f"gpu-{(number + index) % nodes}"
        await api.create(POD, namespace, pod)
        running = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }
        await api.patch(POD, namespace, f"{pod['metadata']['name']}/status", {"status": running})


def _service(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": names.serve_service(name), "namespace": namespace},
        "spec": {"ports": [{"name": "serve", "port": SERVING_PORT}]},
    }


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
