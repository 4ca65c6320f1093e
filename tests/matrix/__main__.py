"""``python -m tests.matrix``: all points, or those of one scenario or fault."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import yaml

from tests.api.conftest import install, kuberay_crds, node
from tests.api.server import api_server
from tests.conftest import CRDS
from tests.kubectl import apply
from tests.matrix.faults import RESTARTED
from tests.matrix.lab import Lab, lab
from tests.matrix.points import Point, Reference, Result, points, run, undisturbed
from tests.matrix.scenarios import SCENARIOS

TRIES = 3
"""Runs of a point whose fault did not strike: the last writes of two runs need not be the same."""


def main() -> int:
    """Run them; the exit code says whether all passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one")
    parser.add_argument("--fault", help="only faults whose name begins with this")
    parser.add_argument("--jobs", type=int, default=8, help="points at the same time")
    options = parser.parse_args()
    # Not removed at the end: the operators' logs are in it.
    folder = Path(tempfile.mkdtemp(prefix="rayspan-matrix-"))
    kuberay = kuberay_crds()
    with api_server(folder) as server:
        os.environ["KUBECONFIG"] = str(server.kubeconfig)
        install(*kuberay, *(yaml.safe_load(path.read_text()) for path in CRDS.glob("*.yaml")))
        for name in ("gpu-a", "gpu-b"):
            apply(node(name))

        results: list[Result] = []

        async def all_of_it() -> None:
            if (task := asyncio.current_task()) is not None:
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
            async with lab(server.kubeconfig, folder, server.restart) as place:
                await matrix(place, options.scenario, options.fault or "", options.jobs, results)

        with suppress(asyncio.CancelledError):
            asyncio.run(all_of_it())
    print(table(results))
    return int(any(one.problem for one in results))


async def matrix(place: Lab, scenario: str | None, fault: str, jobs: int, results: list[Result]) -> None:
    """All points, whose results are added to a list.

    Those that restart the API server come last and are among themselves, for it is everybody's.
    """
    names = [scenario] if scenario else list(SCENARIOS)
    found = await asyncio.gather(*(undisturbed(place, name) for name in names))
    references = dict(zip(names, found, strict=True))
    for name, reference in references.items():
        print(f"{name}: {len(reference.writes)} writes: {', '.join(reference.writes)}")
    chosen = [one for name in names for one in points(name, references[name]) if one.fault.startswith(fault)]
    # The same order each time, and no one's own: a run that is cut short has seen of everything.
    random.Random(0).shuffle(chosen)
    calm = [one for one in chosen if one.fault != RESTARTED]
    restarts = [one for one in chosen if one.fault == RESTARTED]
    print(f"{len(chosen)} points", flush=True)
    for together in (calm, restarts):
        await _run_all(place, together, references, jobs, results)


async def _run_all(
    place: Lab, chosen: list[Point], references: dict[str, Reference], jobs: int, results: list[Result]
) -> None:
    began, waiting, before = time.monotonic(), list(chosen), len(results)

    def told(result: Result) -> None:
        results.append(result)
        word = "FAILED" if result.problem else "passed" if result.reached else "not reached"
        after = f"{len(results) - before}/{len(chosen)} {time.monotonic() - began:.0f} s"
        print(f"{after}: {word}, {result.seconds:.1f} s: {result.point}", flush=True)
        if result.problem:
            print(f"{result.log}\n{result.problem}", flush=True)

    async def work() -> None:
        while waiting:
            await _run_some(place, waiting.pop(0), waiting, references, told)

    await asyncio.gather(*(work() for _ in range(jobs)))


async def _run_some(
    lab: Lab,
    point: Point | None,
    waiting: list[Point],
    references: dict[str, Reference],
    told: Callable[[Result], None],
) -> None:
    """A point, and those that wait of its scenario by the same operator, until one fails or goes in no circle."""
    async with lab.place() as place:
        while point is not None:
            scenario, again = point.scenario, SCENARIOS[point.scenario].armed > 0
            for _ in range(TRIES):
                result = await run(lab, place, point, references[scenario])
                if result.reached or result.problem or not again:
                    break
            told(result)
            if result.problem or not again:
                return
            point = next((one for one in waiting if one.scenario == scenario), None)
            if point is not None:
                waiting.remove(point)


def table(results: Iterable[Result]) -> str:
    """One row per scenario and fault, and the sum. A point whose fault did not strike is none."""
    rows = ["| scenario | fault | points | passed | p50 s | max s |", "|---|---|---|---|---|---|"]
    groups: dict[tuple[str, str], list[Result]] = {}
    for one in results:
        if one.reached or one.problem:
            groups.setdefault((one.point.scenario, one.point.fault), []).append(one)
            groups.setdefault(("all", "all"), []).append(one)
    groups[("all", "all")] = groups.pop(("all", "all"), [])
    for (scenario, fault), found in groups.items():
        passed = [one.seconds for one in found if not one.problem]
        times = f"{statistics.median(passed):.1f} | {max(passed):.1f}" if passed else "- | -"
        rows.append(f"| {scenario} | {fault} | {len(found)} | {len(passed)} | {times} |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
