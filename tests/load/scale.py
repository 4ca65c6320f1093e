"""A thousand LLMDeployments on one API server: how fast, how large, how quiet; and KubeRay given the same RayServices.

    make scale            # OPTIONS="--deployments 1000 --edits 200 --quiet-seconds 60"

etcd, API server and garbage collector are real (tests/api/server.py); nodes, RayClusters and pods are made by the test,
in place of kwok: nothing runs in them, and their ports refuse. Operator and KubeRay work one after the other, each held
to one core by ``taskset``; everything else shares the other cores, so that the figures of a busy machine are too bad.

- apply to RayService: from the first create sent to the last RayService seen, all creates sent as fast as they are taken
- edit to patch: from the answer to ``spec.replicas`` changed to the change seen in the RayService, one edit at a time
- memory: VmRSS and VmHWM of /proc
- writes: what the API server counted in its metrics in a quiet time, save leases, which are its own

KubeRay's figures are those of the same questions: RayService to RayCluster, and an edit of ``replicas`` in the
RayService to the RayCluster. It is run with its defaults: one worker, 100 requests per second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.api.conftest import Operator, deployment, install, kuberay_crds
from tests.api.direct import LLM, NODE, POD, RAY_CLUSTER, RAY_SERVICE, Direct, Kind, Object, direct, place
from tests.api.kubelet import inspections_answered
from tests.api.server import api_server, free_port, program
from tests.conftest import CRDS
from tests.generated.report import node
from tests.kubectl import kubectl
from tests.load.fake_pods import pods_made

NAMESPACE: Final = "scale"
ALONE: Final = "kuberay"
"""Namespace of the RayServices that KubeRay is given."""
NODES: Final = 64
PATIENCE_SECONDS: Final = 1800
SPACING_SECONDS: Final = 0.25
"""Between two edits."""
_WRITES: Final = re.compile(
    r'^apiserver_request_total\{.*resource="(?!leases)[^"]*".*verb="(POST|PUT|PATCH|APPLY|DELETE)"\} (\S+)$',
    re.M,
)


@dataclass
class Figures:
    """Of one operator."""

    name: str
    per_second: float
    latencies: list[float]
    """Seconds, sorted."""
    resident: tuple[float, float]
    """MiB in the end, and at the most."""
    writes_per_minute: float
    quiet_core: float
    """Share of a core in the quiet time."""
    busy_core: float
    """Share of a core while it made what was to be made."""

    def row(self) -> str:
        """A line of the table in docs/performance.md."""
        p50, p95, p99 = (
            self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * q))] * 1e3
            for q in (0.5, 0.95, 0.99)
        )
        now, most = self.resident
        return (
            f"| {self.name} | {self.per_second:.1f} | {p50:.0f} / {p95:.0f} / {p99:.0f} | {now:.0f} / {most:.0f} | "
            f"{self.writes_per_minute:.1f} | {self.busy_core:.0%} | {self.quiet_core:.0%} |"
        )


class Process:
    """What /proc says of a process."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def resident(self) -> tuple[float, float]:
        """MiB now, and at the most."""
        text = (self._folder / "status").read_text()
        now, most = (re.search(rf"{name}:\s+(\d+) kB", text) for name in ("VmRSS", "VmHWM"))
        assert now and most
        return int(now[1]) / 1024, int(most[1]) / 1024

    def seconds(self) -> float:
        """Of a core, until now."""
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Seen:
    """The replicas of each object of a kind, as a watch tells them."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}
        self._news = asyncio.Event()

    def take(self, name: str, replicas: int) -> None:
        """What an event says."""
        self.replicas[name] = replicas
        self._news.set()

    async def until(self, happened: Any, what: str) -> None:
        """Wait for it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not happened():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise SystemExit(f"not within {PATIENCE_SECONDS} s: {what}") from None


@contextmanager
def one_core() -> Iterator[None]:
    """Processes started here have the last core, and this one has it no more."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def writes(api: Direct) -> float:
    """Requests that changed, or could have changed something, since the API server's start."""
    return sum(float(count) for _, count in _WRITES.findall(await api.text("metrics")))


async def quiet(api: Direct, process: Process, seconds: float) -> tuple[float, float]:
    """Writes per minute and share of a core, once all that was begun has come to its end."""
    before, calm_since = await writes(api), time.monotonic()
    deadline = time.monotonic() + PATIENCE_SECONDS / 6
    while time.monotonic() - calm_since < 15 and time.monotonic() < deadline:
        await asyncio.sleep(3)
        if (now := await writes(api)) != before:
            before, calm_since = now, time.monotonic()
    began, spent = time.monotonic(), process.seconds()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return (await writes(api) - before) * 60 / took, (process.seconds() - spent) / took


async def edited(
    api: Direct, kind: Kind, namespace: str, changes: dict[str, Any], seen: Seen, least: dict[str, int]
) -> list[float]:
    """Seconds from the answer to each change to what it brings about, sorted."""
    latencies = []
    for name, change in changes.items():
        await api.ask("PATCH", place(kind, namespace, name), change, "application/json-patch+json")
        began = time.monotonic()
        await seen.until(lambda name=name: seen.replicas[name] > least[name], f"the change of {name}")  # type: ignore[misc]
        latencies.append(time.monotonic() - began)
        await asyncio.sleep(SPACING_SECONDS)
    return sorted(latencies)


async def watched(api: Direct, kind: Kind, namespace: str, take: Callable[[str, Object], None]) -> None:
    """Tell of all that a watch tells."""
    async for event in api.watch(kind, namespace):
        take(event["type"], event["object"])


async def rayspan(api: Direct, options: argparse.Namespace, folder: Path) -> tuple[Figures, list[Object]]:
    """Its figures, and the RayServices that it made."""
    seen = Seen()

    def take(what: str, service: Object) -> None:
        groups = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        seen.take(service["metadata"]["name"], groups[0]["replicas"])

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
        busy = (process.seconds() - spent) / took
        say(f"all RayServices after {took:.1f} s; {process.resident()[0]:.0f} MiB")
        services = await api.find(RAY_SERVICE, NAMESPACE)
        await pods_made(api, services, NODES)
        say("all pods are there")
        per_minute, share = await quiet(api, process, options.quiet_seconds)
        say(f"quiet: {per_minute:.1f} writes a minute, {share:.0%} of a core")
        change = [{"op": "add", "path": "/spec/replicas", "value": 2}]
        edits = dict.fromkeys(names[: options.edits], change)
        latencies = await edited(api, LLM, NAMESPACE, edits, seen, dict.fromkeys(names, 1))
        figures = Figures(
            "Rayspan", len(names) / took, latencies, process.resident(), per_minute, share, busy
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
        busy = (process.seconds() - spent) / took
        say(f"KubeRay: all RayClusters after {took:.1f} s; {process.resident()[0]:.0f} MiB")
        await pods.until(lambda: len(pods.replicas) >= len(services), "all pods of the first stage")
        per_minute, share = await quiet(api, process, options.quiet_seconds)
        say(f"KubeRay, quiet: {per_minute:.1f} writes a minute, {share:.0%} of a core")
        change = [{"op": "replace", "path": f"/spec/workerGroupSpecs/0/{field}", "value": 2}
                  for field in ("maxReplicas", "replicas", "minReplicas")]  # fmt: skip
        edits = dict.fromkeys(sorted(clusters.replicas)[: options.edits], change)
        latencies = await edited(api, RAY_CLUSTER, ALONE, edits, pods, dict.fromkeys(clusters.replicas, 1))
        return Figures(
            "KubeRay alone", len(services) / took, latencies, process.resident(), per_minute, share, busy
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


def say(words: str) -> None:
    """Progress."""
    print(f"{time.strftime('%H:%M:%S')} {words}", file=sys.stderr, flush=True)


async def work(options: argparse.Namespace, kubeconfig: Path, folder: Path) -> None:
    async with direct(kubeconfig) as api:
        await asyncio.gather(*(api.create(NODE, "", node(f"gpu-{number}")) for number in range(NODES)))
        figures, services = await rayspan(api, options, folder)
        rows = [figures.row()]
        if not options.without_kuberay:
            await api.delete(LLM, NAMESPACE)
            rows.append((await kuberay(api, options, services, folder)).row())
    print(
        f"{options.deployments} deployments, {options.edits} edits, {len(os.sched_getaffinity(0))} cores, load average "
        f"{os.getloadavg()[2]:.1f}\n\n"
        "| | made per second | edit to patch p50 / p95 / p99 ms | MiB in the end / at most | writes a minute when quiet "
        "| of a core while busy | of a core when quiet |\n|---|---|---|---|---|---|---|\n" + "\n".join(rows)
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
    kuberay_kinds = kuberay_crds()
    with tempfile.TemporaryDirectory() as folder, api_server(Path(folder)) as kubeconfig:
        os.environ["KUBECONFIG"] = str(kubeconfig)
        install(*kuberay_kinds, *(yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")))
        for name in (NAMESPACE, ALONE):
            kubectl("create", "namespace", name)
        asyncio.run(work(options, kubeconfig, Path(folder)))


if __name__ == "__main__":
    main()
