"""A thousand LLMDeployments on one API server: how fast, how large, how quiet; and KubeRay given the same RayServices.

    make scale            # OPTIONS="--deployments 1000 --edits 200 --quiet-seconds 60"

etcd, API server and garbage collector are real (tests/api/server.py); nodes, RayClusters, Services and pods are made by the
test, in place of kwok, and one server answers in all of them as Ray and an idle engine would: so they become Ready.
Operator and KubeRay work one after the other, each held to the last core as by ``taskset``; everything else runs on all of
them, so that the figures of two cores are too bad.

- apply to RayService: from the first create sent to the last RayService seen, all creates sent as fast as they are taken
  (which includes what the API server needs for it), and per second of processor time that it took for it itself
- edit to patch: from the answer to ``spec.replicas`` changed to the change seen in the RayService, one edit at a time
- memory: VmRSS and VmHWM of /proc
- writes: what the API server counted in its metrics in a quiet time, save leases, which are its own

KubeRay's figures are those of the same questions: RayService to RayCluster, and an edit of ``replicas`` in a RayCluster
to the pod that it makes (a RayService's ``replicas`` it does not carry over). It is run with its defaults: one worker,
100 requests per second. Its pods stay pending.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

import yaml

from tests.api.conftest import KUBERAY, Operator, deployment, install, kuberay_crds, node
from tests.api.direct import LLM, NODE, POD, RAY_CLUSTER, RAY_SERVICE, Direct, Object, direct
from tests.api.kubelet import inspections_answered
from tests.api.server import api_server, free_port, program
from tests.conftest import CRDS
from tests.kubectl import kubectl
from tests.load.fake_pods import pods_made
from tests.load.fake_ray import FakeRay
from tests.load.gauges import Figures, Process, Seen, edited, one_core, quiet, say, watched

NAMESPACE: Final = "scale"
ALONE: Final = "kuberay"
"""Namespace of the RayServices that KubeRay is given."""
OTHERS_OF_KUBERAY: Final = ("rayjobs.ray.io", "raycronjobs.ray.io")
"""Without them it ends by itself."""
NODES: Final = 64


async def rayspan(api: Direct, options: argparse.Namespace, folder: Path) -> tuple[Figures, list[Object]]:
    """Its figures, and the RayServices that it made."""
    seen = Seen()

    def take(what: str, service: Object) -> None:
        groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        seen.take(service["metadata"]["name"], groups[0]["replicas"])

    ray = FakeRay()
    with one_core():
        operator = Operator("", folder)
    process = Process(operator.pid)
    watching = asyncio.create_task(watched(api, RAY_SERVICE, NAMESPACE, take))
    try:
        async with inspections_answered(api):
            await api.create(LLM, NAMESPACE, wanted("warm"))
            await seen.until(lambda: "warm" in seen.replicas, "the first RayService")
        names = [f"m{number}" for number in range(options.deployments)]
        began, spent = time.monotonic(), process.seconds()
        await asyncio.gather(*(api.create(LLM, NAMESPACE, wanted(name)) for name in names))
        say(f"{len(names)} LLMDeployments created in {time.monotonic() - began:.1f} s")
        await seen.until(lambda: len(seen.replicas) > len(names), "all RayServices")
        took = time.monotonic() - began
        each = (process.seconds() - spent) / len(names)
        say(f"all RayServices after {took:.1f} s; {process.resident()[0]:.0f} MiB")
        services = await api.find(RAY_SERVICE, NAMESPACE)
        async with ray.running():
            await pods_made(api, ray, services, NODES)
            say("all pods are there")
            per_minute, share = await quiet(api, process, options.quiet_seconds)
            ready = [one for one in await api.find(LLM, NAMESPACE) if one["status"]["phase"] == "Ready"]
            say(f"quiet, {len(ready)} Ready: {per_minute:.1f} writes a minute, {share:.0%} of a core")
            change = [{"op": "add", "path": "/spec/replicas", "value": 2}]
            edits = dict.fromkeys(names[: options.edits], change)
            latencies = await edited(api, LLM, NAMESPACE, edits, seen, dict.fromkeys(names, 1))
        figures = Figures(
            "Rayspan", len(names) / took, latencies, process.resident(), per_minute, share, each
        )
    finally:
        watching.cancel()
        operator.stop()
        print(operator.log.read_text()[-3000:], file=sys.stderr)
    return figures, services


def wanted(name: str) -> Object:
    """An LLMDeployment of two stages."""
    return deployment(NAMESPACE, name, parallelism={"tensor": 1, "pipeline": 2})


async def kuberay(api: Direct, options: argparse.Namespace, services: list[Object], folder: Path) -> Figures:
    """Its figures, with the same RayServices under other names and without owner."""
    clusters, pods = Seen(), Seen()
    counts: Counter[str] = Counter()

    def take_cluster(what: str, cluster: Object) -> None:
        clusters.take(cluster["metadata"]["name"], 1)

    def take_pod(what: str, pod: Object) -> None:
        if what == "ADDED" and pod["metadata"]["labels"].get("ray.io/group") == "stage-0":
            cluster = pod["metadata"]["labels"]["ray.io/cluster"]
            counts[cluster] += 1
            pods.take(cluster, counts[cluster])

    running = kuberay_operator(folder / "kuberay.log")
    process = Process(running.pid)
    watching = [
        asyncio.create_task(watched(api, RAY_CLUSTER, ALONE, take_cluster)),
        asyncio.create_task(watched(api, POD, ALONE, take_pod)),
    ]
    try:
        await asyncio.sleep(5)
        began, spent = time.monotonic(), process.seconds()
        await asyncio.gather(*(api.create(RAY_SERVICE, ALONE, bare(one)) for one in services))
        await clusters.until(lambda: len(clusters.replicas) >= len(services), "all RayClusters")
        took = time.monotonic() - began
        each = (process.seconds() - spent) / len(services)
        say(f"KubeRay: all RayClusters after {took:.1f} s; {process.resident()[0]:.0f} MiB")
        await pods.until(lambda: len(pods.replicas) >= len(services), "all pods of the first stage")
        per_minute, share = await quiet(api, process, options.quiet_seconds)
        say(f"KubeRay, quiet: {per_minute:.1f} writes a minute, {share:.0%} of a core")
        change = [{"op": "replace", "path": f"/spec/workerGroupSpecs/0/{field}", "value": 2}
                  for field in ("maxReplicas", "replicas", "minReplicas")]  # fmt: skip
        edits = dict.fromkeys(sorted(clusters.replicas)[: options.edits], change)
        latencies = await edited(api, RAY_CLUSTER, ALONE, edits, pods, dict.fromkeys(clusters.replicas, 1))
        return Figures(
            "KubeRay alone", len(services) / took, latencies, process.resident(), per_minute, share, each
        )
    finally:
        for task in watching:
            task.cancel()
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def kuberay_operator(log: Path) -> subprocess.Popen[bytes]:
    """KubeRay's own program, on one core."""
    ports = [f"--{name}=127.0.0.1:{free_port()}" for name in ("metrics-addr", "health-probe-bind-address")]
    command = [program("kuberay-operator"), "--kubeconfig", os.environ["KUBECONFIG"]]
    command += ["--enable-leader-election=false", f"--watch-namespace={ALONE}", *ports]
    with one_core(), log.open("wb") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "ENABLE_WEBHOOKS": "false"}
        )


def bare(service: Object) -> Object:
    """A RayService as one would write it by hand."""
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "metadata": {"name": service["metadata"]["name"], "namespace": ALONE},
        "spec": service["spec"],
    }


async def work(options: argparse.Namespace, kubeconfig: Path, folder: Path) -> None:
    async with direct(kubeconfig) as api:
        await asyncio.gather(
            *(api.create(NODE, "", node(f"gpu-{number}", pods=1000)) for number in range(NODES))
        )
        figures, services = await rayspan(api, options, folder)
        say(figures.row())
        rows = [figures.row()]
        if not options.without_kuberay:
            await api.delete(LLM, NAMESPACE)
            rows.append((await kuberay(api, options, services, folder)).row())
    print(
        f"{options.deployments} deployments, {options.edits} edits, {len(os.sched_getaffinity(0))} cores, load average "
        f"{os.getloadavg()[2]:.1f}\n\n"
        "| | made per second | per second of its core | edit to patch p50 / p95 / p99 ms | MiB in the end / at most | writes a minute when quiet "
        "| of a core when quiet |\n|---|---|---|---|---|---|---|\n" + "\n".join(rows)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deployments", type=int, default=1000)
    parser.add_argument("--edits", type=int, default=200)
    parser.add_argument("--quiet-seconds", type=float, default=60)
    parser.add_argument("--without-kuberay", action="store_true")
    options = parser.parse_args()
    kuberay_kinds = kuberay_crds((*KUBERAY, *OTHERS_OF_KUBERAY))
    with tempfile.TemporaryDirectory() as folder, api_server(Path(folder)) as server:
        os.environ["KUBECONFIG"] = str(server.kubeconfig)
        install(*kuberay_kinds, *(yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")))
        for name in (NAMESPACE, ALONE):
            kubectl("create", "namespace", name)
        asyncio.run(work(options, server.kubeconfig, Path(folder)))


if __name__ == "__main__":
    main()
