"""Percentiles as the status tells them against those that the client itself measured, with restarts in between.

    make percentiles [OPTIONS="--replicas 1 2 4"]

The serving path is real (see tests/faults/lab.py); the engine's times are set, so that answers take from 50 ms to half a
minute, differing as widely as chat does. A third into each run an engine's process is killed, at two thirds a proxy's,
which holds the counts: what it counted since the last scrape is lost, and requests in it fail, which are left out on both
sides. Pages are read every 5 s, a third of the operator's interval. Prints a row per run: status against client.
"""

import argparse
import asyncio
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from pathlib import Path

import aiohttp
from lab import Lab
from rayspan.api.v1alpha1 import Percentiles
from rayspan.report import durations
from rayspan.report.latency import latency
from rayspan.report.observed import Scrape
from rayspan.report.window import Window

from tests.streaming import Request, ask

SCRAPE_SECONDS = 5.0
PERCENTS = (50, 95, 99)
REPLICA, PROXY = r"^ray::ServeReplica:tiny:LLMServer", r"^ray::ProxyActor"


@dataclass(frozen=True)
class Load:
    """What is asked. An answer takes about ``tokens`` x ``step`` seconds."""

    step: float
    tokens: int
    """Of the median answer; they are lognormal, with a standard deviation of half their logarithm."""
    clients: int
    pause: float
    """Between a client's requests, in the mean."""
    seconds: float


LOADS = {
    "50 ms": Load(0.005, 8, 4, 0.1, 60),
    "500 ms": Load(0.02, 25, 8, 0.1, 60),
    "5 s": Load(0.1, 50, 24, 0.1, 75),
    "30 s": Load(0.3, 100, 60, 0.3, 150),
}


async def client(
    session: aiohttp.ClientSession, url: str, load: Load, end: float, seen: list[Request]
) -> None:
    while time.monotonic() < end:
        tokens = max(2, round(load.tokens * random.lognormvariate(0, 0.5)))
        seen.append(await ask(session, url, "tiny", tokens))
        # By chance, or all would come in step with the engine and wait for one of two or three times.
        await asyncio.sleep(random.uniform(0, 2 * load.pause) if seen[-1].ok else 0.5)


async def run(lab: Lab, load: Load) -> tuple[list[Request], list[Scrape]]:
    """The client's record and the pages that were read meanwhile."""
    seen: list[Request] = []
    scrapes = lab.scrape()
    began = time.monotonic()
    kills = [(began + load.seconds / 3, REPLICA), (began + load.seconds * 2 / 3, PROXY)]
    url = f"http://127.0.0.1:{lab.ray.serve_port}/v1"
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [
            asyncio.create_task(client(session, url, load, began + load.seconds, seen))
            for _ in range(load.clients)
        ]
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=SCRAPE_SECONDS)
            if kills and time.monotonic() > kills[0][0]:
                kill(lab, kills.pop(0)[1])
            scrapes += await asyncio.to_thread(lab.scrape)
        await asyncio.gather(*tasks)
    await asyncio.sleep(2)  # Ray hands its metrics on once a second
    return seen, scrapes + lab.scrape()


def kill(lab: Lab, pattern: str) -> None:
    """The first process of that kind, with no chance to say anything."""
    found = sorted(process for node in lab.ray.nodes.values() for process in node.processes(pattern))
    os.kill(found[0], signal.SIGKILL)


def settle(lab: Lab) -> None:
    """Until all that was killed is there again."""
    lab.ray.wait_for(lambda: lab.ray.application("tiny").get("status") == "RUNNING", 240, every=1)
    time.sleep(10)


def rows(seen: list[Request], scrapes: list[Scrape]) -> list[str]:
    """A cell for each of the three latencies: p50, p95 and p99 of the client, and by how much the status is off."""
    whole = [one for one in seen if one.ok]
    until = scrapes[-1].at
    told = latency(Window.of(scrapes, until, until - scrapes[0].at + 1, {}))
    assert told is not None
    samples = (
        (told.time_to_first_token, [one.tokens_at[0] - one.started for one in whole]),
        (told.inter_token_latency, [b - a for one in whole for a, b in pairwise(one.tokens_at)]),
        (told.end_to_end, [one.seconds for one in whole]),
    )
    cells = [f"{len(whole)}", f"{told.requests}", f"{len(seen) - len(whole)}"]
    return cells + [cell(given, sample) for given, sample in samples]


def cell(told: Percentiles | None, sample: list[float]) -> str:
    assert told is not None
    ordered, parts = sorted(sample), []
    for percent, value in zip(PERCENTS, (told.p50, told.p95, told.p99), strict=True):
        measured = ordered[ceil(percent / 100 * len(ordered)) - 1]
        off = durations.seconds(value) / measured - 1
        parts.append(f"{durations.latency(measured)} {off:+.1%}")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--only", nargs="+", choices=LOADS, default=list(LOADS))
    options = parser.parse_args()
    print(
        "| replicas | answers | client's | status | failed | first token p50, p95, p99 | token to token | end to end |"
    )
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        for replicas in options.replicas:
            (part := Path(folder) / str(replicas)).mkdir()
            lab = Lab(part, replicas)
            try:
                lab.start()
                for name in options.only:
                    load = LOADS[name]
                    lab.set(
                        {"stages": [load.step / 2] * 2, "hop": 0.0, "slots": max(1, load.clients // replicas)}
                    )
                    found = rows(*asyncio.run(run(lab, load)))
                    print(f"| {replicas} | {name} | {' | '.join(found)} |", flush=True)
                    settle(lab)
            finally:
                lab.ray.stop()


if __name__ == "__main__":
    main()
