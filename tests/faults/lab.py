"""The fault laboratory: faults made on purpose on the real Ray Serve, and the verdict that the operator finds for each.

    make faults [OPTIONS="--rounds N --only FAULT"]

Two nodes, each with a proxy, an ingress and a replica; the engines are settable_engine.py's, whose times are set for
each fault. The operator's own code reads the nodes' metrics pages and judges. Prints a line per run and the confusion
matrix with its macro-F1.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from cpu_share import limited
from local_ray import LocalRay
from rayspan.cluster.metrics import Page
from rayspan.report.observed import Scrape
from rayspan.report.stations import Stations, stations
from rayspan.report.verdicts import verdict
from rayspan.report.window import Window

CHECKOUT = Path(__file__).parents[2]
WARM_SECONDS = 8.0
RUN_SECONDS = 40.0
SCRAPE_SECONDS = 5.0
HEALTHY = "Healthy"


@dataclass(frozen=True)
class Fault:
    """What is made, and what it should be called."""

    verdict: str
    clients: int
    tokens: int = 24
    pause: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    path_share: float | None = None
    """Of a core, for each proxy and each ingress."""
    reads_per_second: float | None = None
    """Pieces that a client takes; None: as they come."""


FAULTS: dict[str, Fault] = {
    "light load": Fault(HEALTHY, 2, pause=0.5),
    "good load": Fault(HEALTHY, 6, pause=0.5),
    "nobody asks": Fault("Client", 0),
    "slow readers": Fault("Client", 6, 40, settings={"text": 200_000}, reads_per_second=32.0),
    "throttled path": Fault("Coordinator", 8, path_share=0.03),
    "skewed router": Fault("LoadBalancer", 10, settings={"slots": 4, "skew": True}),
    "small cache": Fault("KVCache", 12, settings={"cache_tokens": 110}),
    "delayed network": Fault("Network", 4, 12, settings={"hop": 0.15}),
    "slow stage": Fault("PipelineImbalance", 8, settings={"stages": [0.008, 0.04]}),
    "saturated engines": Fault("Engine", 16, settings={"slots": 4}),
}


class Lab:
    """The serving path, up and running."""

    def __init__(self, folder: Path) -> None:
        self._settings = folder / "settings.json"
        self.set({})
        (folder / "ray").mkdir()
        self.model = folder / "tiny"
        subprocess.run(
            [sys.executable, CHECKOUT / "dev" / "tiny_model.py", self.model, "--layers", "2"], check=True
        )
        paths = os.pathsep.join([str(CHECKOUT / "tests" / "faults"), os.environ.get("PYTHONPATH", "")])
        os.environ["PYTHONPATH"] = paths
        self.ray = LocalRay(
            folder / "ray",
            {
                "RAYSPAN_FAULTS": str(self._settings),
                "RAYLLM_VLLM_ENGINE_CLS": "settable_engine:SettableEngine",
            },
        )

    def set(self, settings: dict[str, Any]) -> None:
        fresh = self._settings.with_suffix(".new")
        fresh.write_text(json.dumps(settings))
        fresh.rename(self._settings)

    def start(self) -> None:
        self.ray.start(0, 1)
        self.ray.deploy(serve_config(self.model, self.ray.serve_port))
        self.ray.wait_for(lambda: self.ray.application("tiny").get("status") == "RUNNING", 240, every=1)

    def replicas(self) -> list[str]:
        deployments = self.ray.application("tiny")["deployments"]
        return sorted(one["replica_id"] for one in deployments["LLMServer:tiny"]["replicas"])

    def path_processes(self) -> list[int]:
        patterns = (
            r"^ray::(ServeReplica:tiny:)?OpenAiIngress|^ray::ServeReplica:tiny:OpenAi",
            r"^ray::ProxyActor",
        )
        return sorted(
            {p for node in self.ray.nodes.values() for pattern in patterns for p in node.processes(pattern)}
        )

    def scrape(self) -> list[Scrape]:
        at, found = time.time(), []
        for name, node in self.ray.nodes.items():
            page = Page()
            for line in node.metrics().splitlines():
                page.read(line.encode())
            found.append(page.scrape(at, name))
        return found


def serve_config(model: Path, port: int) -> dict[str, Any]:
    config = {
        "model_loading_config": {"model_id": "tiny", "model_source": str(model)},
        "engine_kwargs": {"max_model_len": 512, "distributed_executor_backend": "ray"},
        "placement_group_config": {"strategy": "PACK", "bundles": [{"GPU": 1}]},
        "deployment_config": {
            "ray_actor_options": {"num_cpus": 0},
            "max_ongoing_requests": 64,
            "request_router_config": {"request_router_class": "skewed_router:SkewedRouter"},
        },
    }
    ingress = {"max_replicas_per_node": 1, "ray_actor_options": {"num_cpus": 0.1}}
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [
            {
                "name": "tiny",
                "route_prefix": "/",
                "import_path": "rayspan_serving.app:build",
                "args": {"llm_configs": [config], "ingress_deployment_config": ingress},
                "deployments": [
                    {"name": "LLMServer:tiny", "num_replicas": 2},
                    {"name": "OpenAiIngress", "num_replicas": 2},
                ],
            }
        ],
    }


async def client(session: aiohttp.ClientSession, url: str, fault: Fault, end: float) -> None:
    """Asks again and again until the end."""
    body = {
        "model": "tiny", "stream": True, "max_tokens": fault.tokens,
        "messages": [{"role": "user", "content": "hello"}],
    }  # fmt: skip
    while time.monotonic() < end:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(url, json=body) as answer:
                if fault.reads_per_second is None:
                    await answer.read()
                else:
                    while await answer.content.read(60_000):  # noqa: ASYNC110  # a slow reader
                        await asyncio.sleep(1 / fault.reads_per_second)
        await asyncio.sleep(fault.pause * random.uniform(0.5, 1.5) if fault.pause else 0)


async def load(lab: Lab, fault: Fault) -> list[Scrape]:
    """The fault's load, and the pages meanwhile."""
    found: list[Scrape] = []
    url = f"http://127.0.0.1:{lab.ray.serve_port}/v1/chat/completions"
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=60), read_bufsize=2**14
    ) as session:
        end = time.monotonic() + WARM_SECONDS + RUN_SECONDS
        clients = [asyncio.create_task(client(session, url, fault, end)) for _ in range(fault.clients)]
        await asyncio.sleep(WARM_SECONDS)
        while time.monotonic() < end:
            found += await asyncio.to_thread(lab.scrape)
            await asyncio.sleep(SCRAPE_SECONDS)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return found


def judge(scrapes: list[Scrape], replicas: list[str]) -> tuple[str, list[str], Stations | None]:
    """The verdict at the end, with its evidence."""
    window = Window.of(scrapes, scrapes[-1].at, 300, {})
    found = stations(window, replicas, 2)
    if found is None:
        return "Client", ["nothing was asked"], None
    limit = verdict(found, None)
    return (limit[0].verdict, list(limit[1]), found) if limit else (HEALTHY, [], found)


@contextmanager
def made(lab: Lab, fault: Fault) -> Iterator[None]:
    lab.set(fault.settings)
    with ExitStack() as stack:
        if fault.path_share is not None:
            stack.enter_context(limited(lab.path_processes(), fault.path_share, 100_000))
        yield
    lab.set({})
    time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS))
    options = parser.parse_args()
    told: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        lab = Lab(Path(folder))
        try:
            lab.start()
            for _ in range(options.rounds):
                for name, fault in FAULTS.items():
                    if name in options.only:
                        told[run(lab, name, fault)] += 1
        finally:
            lab.ray.stop()
    matrix(told)


def run(lab: Lab, name: str, fault: Fault) -> tuple[str, str]:
    """One run: what it is and what it was taken for."""
    with made(lab, fault):
        scrapes = asyncio.run(load(lab, fault))
    found, evidence, numbers = judge(scrapes, lab.replicas())
    mark = "" if found == fault.verdict else f"   <- {fault.verdict} was made"
    print(f"{name}: {found}{mark}\n  {' '.join(evidence)}", flush=True)
    if mark and numbers:
        print(f"  {json.dumps(asdict(numbers))}", flush=True)
    return fault.verdict, found


def matrix(told: Counter[tuple[str, str]]) -> None:
    """What was made by what was found, and the mean over the verdicts of F1 = 2 TP / (2 TP + FP + FN)."""
    names = sorted({name for pair in told for name in pair})
    print(f"\n{'made / found':20}" + "".join(f"{name[:12]:>14}" for name in names))
    for true in names:
        print(f"{true:20}" + "".join(f"{told[true, found]:14}" for found in names))
    scores = []
    for name in names:
        hit = told[name, name]
        wrong = sum(n for (true, found), n in told.items() if (true == name) != (found == name))
        scores.append(2 * hit / (2 * hit + wrong) if hit or wrong else 0.0)
    print(f"macro-F1 {sum(scores) / len(scores):.3f} over {sum(told.values())} runs")


if __name__ == "__main__":
    main()
