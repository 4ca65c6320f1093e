"""What it costs the operator to read 200 metrics pages every 15 s, and to make percentiles of what it read.

    python tests/load/scraping.py [PAGE]

PAGE: a page as a stage's pod serves it, read from a running cluster (curl http://POD:8080/metrics); without one, pages
of the same size are made. They are served by another process on 127.0.0.1 to 127.0.0.200.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from pathlib import Path

import aiohttp
from aiohttp import web
from rayspan.cluster.metrics import HISTOGRAMS, VALUES, scrape_pods
from rayspan.render.names import METRICS_PORT
from rayspan.report.latency import latency
from rayspan.report.observed import PodView, Scrape
from rayspan.report.stations import stations
from rayspan.report.window import Window

ENDPOINTS = 200
EVERY_SECONDS = 15.0
ROUNDS = 21
BOUNDS = [f"{0.001 * 1.09**i:.4g}" for i in range(155)] + ["600.0", "+Inf"]


def page() -> str:
    """Our histograms and counters among 1,500 lines of others'."""
    tags = 'Component="core_worker",NodeAddress="10.0.0.1",SessionName="session_2026",Version="2.60.0",WorkerId="w"'
    lines = [
        f'{name}_bucket{{{tags},le="{bound}",model="tiny"}} {float(i)}'
        for name in HISTOGRAMS
        for i, bound in enumerate(BOUNDS)
    ]
    lines += [f'{name}{{{tags},ReplicaId="r0",replica="r0",stage="0",kind="decode"}} 12.0' for name in VALUES]
    lines += [f'ray_vllm_request_prompt_tokens_bucket{{{tags},le="{i}.0"}} 1.0' for i in range(1500)]
    return "\n".join(lines) + "\n"


def serve(text: str) -> None:
    """The same page at every address."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/metrics", answer)
    web.run_app(app, host="0.0.0.0", port=METRICS_PORT, print=None)  # 127.0.0.1 to .200


def pods() -> list[PodView]:
    return [
        PodView(
            name=f"p{i}", uid=f"p{i}", cluster="c", group="stage-0", head=False, node=f"n{i}", ip=f"127.0.0.{i}",
            phase="Running", ready=True, terminating=False, restarts=0, image="", created_at=0.0,
        )
        for i in range(1, ENDPOINTS + 1)
    ]  # fmt: skip


async def read() -> tuple[list[float], list[Scrape]]:
    """Seconds of this process' core for each round, and all pages."""
    spent: list[float] = []
    found: list[Scrape] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for number in range(ROUNDS):
            before = time.process_time()
            scrapes = await scrape_pods(session, pods(), number * EVERY_SECONDS, 10)
            spent.append(time.process_time() - before)
            assert len(scrapes) == ENDPOINTS
            found += scrapes
    return spent, found


def main() -> None:
    text = Path(sys.argv[1]).read_text() if sys.argv[1:] else page()
    server = multiprocessing.Process(target=serve, args=(text,), daemon=True)
    server.start()
    time.sleep(1)
    spent, scrapes = asyncio.run(read())
    server.terminate()
    each = statistics.median(spent)
    print(
        f"{ENDPOINTS} pages of {len(text.splitlines())} lines, {len(text) >> 10} KiB: {each * 1e3:.0f} ms of a core, "
        f"{each / EVERY_SECONDS:.1%} of it at one reading every {EVERY_SECONDS:g} s"
    )
    before = time.process_time()
    window = Window.of(scrapes, scrapes[-1].at, 300, {})
    latency(window)
    stations(window, [f"r{i}" for i in range(10)], 2)
    print(
        f"a window of {len(scrapes)} pages: {(time.process_time() - before) * 1e3:.0f} ms of a core for each pass"
    )


if __name__ == "__main__":
    main()
