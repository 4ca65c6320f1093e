"""The parts of KubeRay, the kubelet and Ray, for one namespace: what the operator waits for comes true.

Level-triggered and slow on purpose: it acts only while the operator has written nothing for a moment, one thing at a
time, so that two runs of a scenario see the same things in the same order. Names are not random, so that two runs can
be compared. Ray's dashboard tells of replicas that never get beyond STARTING: nothing serves here.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from aiohttp import web
from rayspan.render import names

from tests import ray_answers
from tests.inspected import ANSWER
from tests.matrix.api import Api, Object
from tests.matrix.proxy import Proxy

PACE_SECONDS: Final = 0.4
QUIET_SECONDS: Final = 0.4
IDLE_SECONDS: Final = 2.0
"""Between two looks while there is nothing to do and the operator writes nothing."""

_JOB: Final = "batch.kubernetes.io/job-name"
_HEAD: Final = "headgroup"


@dataclass
class World:
    """Everything around the operator in one namespace."""

    api: Api
    namespace: str
    proxy: Proxy
    prefix: str
    """First three bytes of the addresses of its pods, which are this machine's own."""
    dashboard_port: int
    acted_at: float = 0.0
    idle_at: float = 0.0
    """When the last look began that found nothing to do."""
    _service: Object | None = None
    _pods: dict[str, Object] = field(default_factory=dict)

    async def run(self) -> None:
        """Act for as long as it is not cancelled."""
        app = web.Application()
        app.router.add_get("/api/serve/applications/", self._applications)
        app.router.add_get("/api/v0/{table}", self._rows)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, f"{self.prefix}.1", self.dashboard_port).start()
            while True:
                await asyncio.sleep(PACE_SECONDS)
                now, since = time.monotonic(), max(self.acted_at, self.proxy.wrote_at)
                if self.proxy.quiet(QUIET_SECONDS) and (
                    self.idle_at < since or now - self.idle_at > IDLE_SECONDS
                ):
                    if await self._act():
                        self.acted_at = time.monotonic()
                    else:
                        self.idle_at = now
        finally:
            await runner.cleanup()

    async def _act(self) -> bool:
        """The first thing that is due; whether there was one."""
        plurals = ("jobs", "pods", "rayservices", "rayclusters")
        jobs, pods, services, clusters = [await self.api.list(self.namespace, one) for one in plurals]
        self._pods = {one["metadata"]["name"]: one for one in pods}
        self._service = next((one for one in services if not _going(one)), None)
        if leaving := [name for name, pod in self._pods.items() if _going(pod)]:
            await asyncio.gather(*(self._remove(name) for name in leaving))
            return True
        for job in jobs:
            if not _going(job) and await self._inspect(job):
                return True
        if self._service is not None and await self._serve(self._service, clusters):
            return True
        done = [await self._staff(one) for one in clusters if not _going(one)]
        return any(done)

    async def _inspect(self, job: Object) -> bool:
        """The kubelet's part: run the inspection's pod to its answer."""
        name, template = job["metadata"]["name"], job["spec"]["template"]
        if name in self._pods:
            return False
        labels = {**template["metadata"]["labels"], _JOB: name}
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(ANSWER)}
        container = {
            "name": template["spec"]["containers"][0]["name"], "ready": False, "restartCount": 0, "image": "",
            "imageID": "", "state": {"terminated": ended},
        }  # fmt: skip
        status = {"phase": "Succeeded", "containerStatuses": [container]}
        await self._pod(name, labels, {}, template["spec"], job, status)
        return True

    async def _serve(self, service: Object, clusters: list[Object]) -> bool:
        """KubeRay's part: a RayCluster for the RayService, and a status that names it."""
        metadata = service["metadata"]
        own = [one for one in clusters if _owner(one) == metadata["uid"]]
        standing = next((one for one in own if not _going(one)), None)
        if standing is None:
            name = f"{metadata['name']}-{metadata['annotations'][names.CLUSTER_REVISION][:6]}"
            made = {
                "apiVersion": "ray.io/v1",
                "kind": "RayCluster",
                "metadata": {
                    "name": name,
                    "labels": metadata["labels"],
                    "annotations": metadata["annotations"],
                    "ownerReferences": [_reference(service)],
                },
                "spec": service["spec"]["rayClusterConfig"],
            }
            return await self.api.create(self.namespace, "rayclusters", made) is not None
        status = {
            "observedGeneration": metadata["generation"],
            "activeServiceStatus": {"rayClusterName": standing["metadata"]["name"]},
        }
        before = service.get("status") or {}
        if all(before.get(key) == value for key, value in status.items()):
            return False
        await self.api.merge(self.namespace, "rayservices", f"{metadata['name']}/status", {"status": status})
        return True

    async def _staff(self, cluster: Object) -> bool:
        """KubeRay's part, and the scheduler's and the kubelet's: pods as the RayCluster counts them, all running."""
        acted, name, groups = False, cluster["metadata"]["name"], cluster["spec"]["workerGroupSpecs"]
        wanted = {f"{name}-head": (_HEAD, cluster["spec"]["headGroupSpec"]["template"], 1)}
        for number, group in enumerate(groups):
            for named in (group.get("scaleStrategy") or {}).get("workersToDelete") or ():
                if named in self._pods:
                    await self._remove(named)
                    acted = True
            for index in range(group["replicas"]):
                pod = f"{name}-{group['groupName']}-{index}"
                wanted[pod] = (group["groupName"], group["template"], 10 * (number + 1) + index)
        present = {
            key for key, pod in self._pods.items() if pod["metadata"]["labels"].get("ray.io/cluster") == name
        }
        for surplus in sorted(present - wanted.keys()):
            await self._remove(surplus)
            acted = True
        for missing in sorted(wanted.keys() - present):
            group_name, template, address = wanted[missing]
            labels = {
                **template["metadata"]["labels"],
                "ray.io/cluster": name,
                "ray.io/group": group_name,
                "ray.io/node-type": "head" if group_name == _HEAD else "worker",
            }
            selector = template["spec"].get("nodeSelector") or {}
            spec = {**template["spec"], "nodeName": selector.get("kubernetes.io/hostname", "gpu-a")}
            ip = f"{self.prefix}.{address}"
            status = {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "Ready", "status": "True"}],
            }  # fmt: skip
            await self._pod(
                missing, labels, template["metadata"].get("annotations") or {}, spec, cluster, status
            )
            acted = True
        return acted

    async def _pod(
        self, name: str, labels: Object, annotations: Object, spec: Object, owner: Object, status: Object
    ) -> None:
        metadata = {
            "name": name, "labels": labels, "annotations": annotations, "ownerReferences": [_reference(owner)],
        }  # fmt: skip
        await self.api.create(self.namespace, "pods", {"metadata": metadata, "spec": spec})
        await self.api.merge(self.namespace, "pods", f"{name}/status", {"status": status})

    async def _remove(self, pod: str) -> None:
        await self.api.delete(self.namespace, "pods", pod, at_once=True)

    async def _applications(self, _: web.Request) -> web.Response:
        """Ray's part: the Serve application is deployed as soon as it is asked for."""
        if self._service is None:
            return web.json_response({"applications": {}})
        app = yaml.safe_load(self._service["spec"]["serveConfigV2"])["applications"][0]
        replicas = self._replicas(app["deployments"][0]["num_replicas"])
        return web.json_response(ray_answers.application(app, "DEPLOYING", "STARTING", replicas))

    async def _rows(self, request: web.Request) -> web.Response:
        ips = [(one.get("status") or {}).get("podIP") for one in self._pods.values()]
        return web.json_response(ray_answers.rows(request, filter(None, ips), self._replicas(9)))

    def _replicas(self, most: int) -> list[list[str]]:
        """Addresses of each replica's stages, of those replicas that have all their pods."""
        stages: dict[str, list[str]] = {}
        for _, pod in sorted(self._pods.items()):
            group = pod["metadata"]["labels"].get("ray.io/group", _HEAD)
            if group != _HEAD and (ip := (pod.get("status") or {}).get("podIP")):
                stages.setdefault(group, []).append(ip)
        columns = [stages[group] for group in sorted(stages)]
        return [list(pods) for pods in zip(*columns, strict=False)][:most]


def _going(thing: Object) -> bool:
    return "deletionTimestamp" in thing["metadata"]


def _owner(thing: Object) -> Any:
    return next((one["uid"] for one in thing["metadata"].get("ownerReferences") or ()), None)


def _reference(owner: Object) -> Object:
    metadata = owner["metadata"]
    kind, version = owner.get("kind") or "Job", owner.get("apiVersion") or "batch/v1"
    return {
        "apiVersion": version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"], "controller": True,
    }  # fmt: skip
