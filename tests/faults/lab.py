"""The fault laboratory: faults made on purpose on the real Ray Serve, and the verdict that the operator finds for each.

    make faults [OPTIONS="--rounds N --only FAULT --seed S"]

Two nodes, each with a proxy, an ingress and a replica; the engines are settable_engine.py's, whose times are set for
each fault, anew in each round. One fault follows on another, so that a window holds both at first, as in life. The
operator's own code reads the nodes' metrics pages and judges them, in half its time: scrapes, windows and the time to
find the verdict are half of what they are in the operator, and so it has half the requests to go by. Prints a line per
run and the confusion matrix with its macro-F1.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.connector import AddrInfoType
from cpu_share import limited
from local_ray import LocalRay
from rayspan.cluster.metrics import Page
from rayspan.report.latency import latency
from rayspan.report.observed import Scrape
from rayspan.report.stations import Stations, stations
from rayspan.report.verdicts import verdict
from rayspan.report.window import Window

CHECKOUT = Path(__file__).parents[2]
SCRAPE_SECONDS = 7.5
RECENT_SECONDS, WINDOW_SECONDS = 22.5, 150.0
"""Half of the operator's (report/input.py)."""
SCRAPES = 4
"""Of a run: by the last, half a minute after the fault began, the verdict has to be found."""
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
    slow_replica: bool = False
    stage_share: float | None = None
    """Of a core, for the last stage of a real engine."""


Making = Callable[[random.Random], Fault]
FAULTS: dict[str, Making] = {
    "light load": lambda r: Fault(HEALTHY, r.randint(2, 3), pause=r.uniform(0.3, 0.7)),
    "good load": lambda r: Fault(HEALTHY, r.randint(5, 7), pause=r.uniform(0.3, 0.7)),
    "bursts": lambda r: Fault(HEALTHY, 4, r.randint(4, 40), pause=r.uniform(0.5, 1.5)),
    "nobody asks": lambda r: Fault("Client", 0),
    "slow readers": lambda r: Fault(
        "Client", r.randint(6, 10), 20, settings={"text": 300_000}, reads_per_second=r.uniform(12, 18)
    ),
    "throttled path": lambda r: Fault("Coordinator", r.randint(7, 10), path_share=r.uniform(0.007, 0.011)),
    "skewed router": lambda r: Fault("LoadBalancer", r.randint(9, 12), settings={"slots": 4, "skew": True}),
    "slow replica": lambda r: Fault(
        "LoadBalancer",
        r.randint(10, 14),
        settings={"slots": 4, "slowness": r.uniform(4, 8)},
        slow_replica=True,
    ),
    "small cache": lambda r: Fault(
        "KVCache", r.randint(10, 14), settings={"cache_tokens": r.randint(90, 130)}
    ),
    "delayed network": lambda r: Fault(
        "Network", r.randint(4, 6), 12, settings={"hop": r.uniform(0.05, 0.12)}
    ),
    "slow stage": lambda r: Fault(
        "PipelineImbalance", 8, settings={"stages": r.sample([r.uniform(0.005, 0.015), 0.04], 2)}
    ),
    "saturated engines": lambda r: Fault("Engine", r.randint(14, 20), settings={"slots": r.randint(3, 5)}),
}


class Lab:
    """The serving path, up and running."""

    layers = 2
    settable = True

    def __init__(self, folder: Path, replicas: int = 2) -> None:
        self._replicas, self._settings = replicas, folder / "settings.json"
        self.set({})
        (folder / "ray").mkdir()
        self.model = folder / "tiny"
        subprocess.run(
            [sys.executable, CHECKOUT / "dev" / "tiny_model.py", self.model, f"--layers={self.layers}"],
            check=True,
        )
        paths = os.pathsep.join([str(CHECKOUT / "tests" / "faults"), os.environ.get("PYTHONPATH", "")])
        os.environ |= {"PYTHONPATH": paths, "RAYSPAN_FAULTS": str(self._settings)}
        settable = {
            "RAYLLM_VLLM_ENGINE_CLS": "settable_engine:SettableEngine",
            "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "skewed_proxy:middlewares",
        }
        self.ray = LocalRay(folder / "ray", settable if self.settable else {})

    def set(self, settings: dict[str, Any]) -> None:
        fresh = self._settings.with_suffix(".new")
        fresh.write_text(json.dumps(settings))
        fresh.rename(self._settings)

    def start(self) -> None:
        self.ray.start(*range(self._replicas))
        self.ray.deploy(self.config())
        self.ray.wait_for(lambda: self.ray.application("tiny").get("status") == "RUNNING", 240, every=1)
        asyncio.run(load(self, Fault(HEALTHY, 2), Judge(), 1))  # so that the first fault finds all of it warm

    def config(self) -> dict[str, Any]:
        return serve_config(self.model, self.ray.serve_port, self._replicas)

    def last_stage(self) -> list[int]:
        raise NotImplementedError("these engines are no pipelines of processes")

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


def serve_config(model: Path, port: int, replicas: int) -> dict[str, Any]:
    config = {
        "model_loading_config": {"model_id": "tiny", "model_source": str(model)},
        "engine_kwargs": {"max_model_len": 512, "distributed_executor_backend": "ray"},
        "placement_group_config": {"strategy": "PACK", "bundles": [{"GPU": 1}]},
        "deployment_config": {
            "ray_actor_options": {"num_cpus": 0},
            "max_ongoing_requests": 64,
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
                    {"name": "LLMServer:tiny", "num_replicas": replicas},
                    {"name": "OpenAiIngress", "num_replicas": replicas},
                ],
            }
        ],
    }


def small_socket(address: AddrInfoType) -> socket.socket:
    """A client's, that takes little before it is read: the server soon has to wait for a slow reader."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    return made


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


@dataclass
class Judge:
    """What the operator would say, scrape after scrape."""

    scrapes: list[Scrape] = field(default_factory=list)
    standing: str | None = None

    def say(self, new: list[Scrape], replicas: list[str]) -> tuple[str, list[str], Stations | None]:
        """The verdict now, with its evidence."""
        at = new[-1].at
        self.scrapes = [one for one in self.scrapes if one.at > at - WINDOW_SECONDS] + new
        windows = [Window.of(self.scrapes, at, seconds, {}) for seconds in (RECENT_SECONDS, WINDOW_SECONDS)]
        seen = [found for window in windows if (found := stations(window, replicas, 2))]
        asked = latency(windows[0])
        if not seen or not asked or not asked.requests:
            self.standing = "Client"
            return "Client", ["nothing was asked"], None
        rule, evidence = verdict(seen, self.standing) or (None, ())
        self.standing = rule.verdict if rule else HEALTHY
        return self.standing, list(evidence), seen[0]


Said = tuple[str, list[str], Stations | None]


async def load(lab: Lab, fault: Fault, judge: Judge, scrapes: int) -> list[Said]:
    """The fault's load, and what is said of it meanwhile."""
    url = f"http://127.0.0.1:{lab.ray.serve_port}/v1/chat/completions"
    connector = aiohttp.TCPConnector(limit=0, force_close=True, socket_factory=small_socket)
    replicas, said = lab.replicas(), []
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=60), read_bufsize=2**14
    ) as session:
        began = time.monotonic()
        end = began + scrapes * SCRAPE_SECONDS
        clients = [asyncio.create_task(client(session, url, fault, end)) for _ in range(fault.clients)]
        for number in range(1, scrapes + 1):
            await asyncio.sleep(began + number * SCRAPE_SECONDS - time.monotonic())
            said.append(judge.say(await asyncio.to_thread(lab.scrape), replicas))
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return said


@contextmanager
def made(lab: Lab, fault: Fault) -> Iterator[None]:
    slow = {"slow_replica": lab.replicas()[0]} if fault.slow_replica else {}
    lab.set({**fault.settings, **slow})
    with ExitStack() as stack:
        if fault.path_share is not None:
            stack.enter_context(limited(lab.path_processes(), fault.path_share, 250_000))
        if fault.stage_share is not None:
            stack.enter_context(limited(lab.last_stage(), fault.stage_share))
        yield
    lab.set({})


def main() -> None:
    judged(Lab, FAULTS, __doc__)


def judged(make: Callable[[Path], Lab], faults: Mapping[str, Making], description: str | None) -> None:
    """The command: rounds of faults in a lab, each verdict printed, and the matrix in the end."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=faults, default=list(faults))
    parser.add_argument(
        "--scrapes", type=int, default=SCRAPES, help="of a run; more show whether verdicts stay"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    told: Counter[tuple[str, str]] = Counter()
    flaps = 0
    dice, judge = random.Random(options.seed), Judge()
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        lab = make(Path(folder))
        try:
            lab.start()
            for _ in range(options.rounds):
                for name in dice.sample(options.only, len(options.only)):
                    fault = faults[name](dice)
                    words = run(lab, name, fault, judge, options.scrapes)
                    told[fault.verdict, words[-1]] += 1
                    flaps += left_again(words, fault.verdict)
        finally:
            lab.ray.stop()
            matrix(told)
            print(f"runs in which the right verdict was left again: {flaps}")


def run(lab: Lab, name: str, fault: Fault, judge: Judge, scrapes: int) -> list[str]:
    """One run: what it was taken for, scrape after scrape."""
    with made(lab, fault):
        said = asyncio.run(load(lab, fault, judge, scrapes))
    found, evidence, numbers = said[-1]
    words = [word for word, _, _ in said]
    mark = "" if found == fault.verdict else f"   <- {fault.verdict} was made"
    print(f"{name}: {' '.join(words)}{mark}\n  {' '.join(evidence)}", flush=True)
    if mark and numbers:
        print(f"  {fault}\n  {json.dumps(asdict(numbers))}", flush=True)
    return words


def left_again(words: list[str], right: str) -> bool:
    """Whether the right verdict was followed by another. Of the first scrape nothing is asked: it holds the run before."""
    return any(word == right != later for word, later in pairwise(words[1:]))


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
