"""What the serving path adds to an engine: Rayspan's and the vLLM router before the same engines, by turns in one run.

    make path [OPTIONS="--rounds 5"]
    make path OPTIONS="--scaling"

The engines are settable_engine.py's with fixed times, so that whatever differs is the path's: bare behind an HTTP server
of their own, behind the vLLM router (PyPI) with that server, and in Ray Serve as Rayspan runs them. All servers share
the cores that ``--server-cores`` names, the client has its own. ``--scaling``: tokens per second of 1, 2 and 4 replicas,
each with its own ingress, under as much load as they take.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from lab import Lab
from local_ray import free_port

from tests.streaming import Request, ask

ROUTER = ("uv", "tool", "run", "--quiet", "vllm-router==0.1.17")
ENGINE = {"stages": [0.0125, 0.0125], "hop": 0.0, "slots": 64}
"""25 ms from token to token, whatever else runs: what a 70B model takes on four H200s under load."""
SLOW_ENGINE = {"stages": [0.1, 0.1], "hop": 0.0, "slots": 8}
"""For scaling: what many of them answer has to fit the cores of one machine."""
TOKENS = 40


@dataclass(frozen=True)
class Seen:
    """What a client saw."""

    first_ms: float
    """Median time to first token."""
    tokens_per_second: float


async def measure(port: int, clients: int, requests: int, tokens: int = TOKENS) -> Seen:
    """So many clients, each asking again and again, for answers of ``tokens`` in the mean: half of it to half as much again,
    the same for every path. With one length all clients would go in step with the engine, and a request that comes a
    millisecond late would wait for a whole step more.
    """
    url = f"http://127.0.0.1:{port}/v1"
    found: list[Request] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=120)
    ) as session:

        async def client(number: int) -> None:
            dice = random.Random(number)
            for _ in range(requests):
                found.append(await ask(session, url, "tiny", dice.randint(tokens // 2, tokens * 3 // 2)))

        began = time.perf_counter()
        await asyncio.gather(*(client(number) for number in range(clients)))
        taken = time.perf_counter() - began
    if failed := [one.detail for one in found if not one.ok]:
        raise SystemExit(f"{len(failed)} of {len(found)} requests failed, such as: {failed[0]}")
    first = statistics.median(one.tokens_at[0] - one.started for one in found)
    return Seen(first * 1e3, sum(len(one.tokens_at) for one in found) / taken)


def until_healthy(port: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"nothing healthy on port {port}")


@contextmanager
def server(*command: str, port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until_healthy(port)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def before_bare_engines(count: int) -> Iterator[dict[str, int]]:
    """Ports: an engine alone, and the router before ``count`` of them."""
    bare = str(Path(__file__).parents[1] / "faults" / "bare_engine.py")
    ports, router = [free_port() for _ in range(count)], free_port()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as stack:
        for port in ports:
            stack.enter_context(server(sys.executable, bare, str(port), port=port))
        stack.enter_context(
            server(
                *ROUTER, "--worker-urls", *urls, "--policy", "round_robin", "--host", "127.0.0.1",
                "--port", str(router), "--prometheus-port", str(free_port()), port=router,
            )
        )  # fmt: skip
        yield {"engine alone": ports[0], "vLLM router": router}


def compare(lab: Lab, rounds: int, client_cores: set[int]) -> None:
    """All paths by turns."""
    lab.set(ENGINE)
    with before_bare_engines(2) as ports:
        paths = {**ports, "Rayspan": lab.ray.serve_port}
        os.sched_setaffinity(0, client_cores)
        found: dict[tuple[str, int], list[Seen]] = {}
        for number in range(rounds + 1):
            for clients, requests in ((1, 8), (32, 4)):
                for name, port in paths.items():
                    seen = asyncio.run(measure(port, clients, requests))
                    if number:  # the first is for warming up
                        found.setdefault((name, clients), []).append(seen)
    for clients in (1, 32):
        alone = middle(found["engine alone", clients])
        for name in paths:
            seen = middle(found[name, clients])
            print(
                f"{clients:3} at once, {name:13}: first token {seen.first_ms:6.1f} ms ({seen.first_ms - alone.first_ms:+.1f}), "
                f"{seen.tokens_per_second:7.1f} tokens/s ({seen.tokens_per_second / alone.tokens_per_second - 1:+.1%})",
                flush=True,
            )


def middle(seen: Sequence[Seen]) -> Seen:
    """Medians over the rounds."""
    return Seen(
        statistics.median(one.first_ms for one in seen),
        statistics.median(one.tokens_per_second for one in seen),
    )


def scale(folder: Path) -> None:
    """Tokens per second of more and more replicas."""
    alone = 0.0
    for replicas in (1, 2, 4):
        (part := folder / str(replicas)).mkdir()
        lab = Lab(part, replicas)
        try:
            lab.start()
            lab.set(SLOW_ENGINE)
            asyncio.run(measure(lab.ray.serve_port, replicas, 2, 8))
            clients = 12 * replicas  # more than all slots, so that each is filled
            seen = asyncio.run(measure(lab.ray.serve_port, clients, 4))
            alone = alone or seen.tokens_per_second
            print(
                f"{replicas} replicas: {seen.tokens_per_second:.1f} tokens/s, "
                f"{seen.tokens_per_second / alone / replicas:.2f} of linear",
                flush=True,
            )
        finally:
            lab.ray.stop()


def cores(text: str) -> set[int]:
    """``0-3,8`` as the kernel writes it."""
    ends = [part.split("-") for part in text.split(",")]
    return {core for end in ends for core in range(int(end[0]), int(end[-1]) + 1)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--server-cores", type=cores, default={0})
    parser.add_argument("--client-cores", type=cores, default={1})
    parser.add_argument("--scaling", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp") as folder:
        if options.scaling:
            return scale(Path(folder))
        lab = Lab(Path(folder))
        os.sched_setaffinity(0, options.server_cores)  # for all that is started from here
        try:
            lab.start()
            compare(lab, options.rounds, options.client_cores)
        finally:
            lab.ray.stop()


if __name__ == "__main__":
    main()
