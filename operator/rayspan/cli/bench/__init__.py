"""Put a bounded load on an LLMDeployment: latencies at each level, the saturation point, what limits it.

A Job beside the deployment runs vLLM's own benchmark (`vllm bench serve`) from the deployment's own image, with random
prompts, as many requests in flight as the level says. What came of it is shown and written to FILE, its pictures beside
it as HTML and, with the extra `bench`, PNG. Exit code 0: all levels were measured; 1: not all; 2: wrong input.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from rayspan.cli.bench.record import Benchmark, Load
    from rayspan.cli.bench.run import Run

_MOST_LEVELS, _MOST_AT_A_TIME = 16, 1024


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which one and how much, or which two results."""
    from rayspan.cli.connection import which

    which(parser, required=False)
    parser.add_argument(
        "--levels",
        type=_levels,
        default=(1, 2, 4, 8, 16),
        metavar="N,N",
        help="requests at a time: 1,2,4,8,16",
    )
    parser.add_argument(
        "--seconds", type=_number(3600), default=60, metavar="N", help="of a level, at most: 60"
    )
    parser.add_argument(
        "--requests",
        type=_number(100_000),
        metavar="N",
        help="of a level, at most: 20 of each at a time, or 100",
    )
    parser.add_argument(
        "--input-tokens", type=_number(10**6), metavar="N", help="of a prompt: 512, if they fit"
    )
    parser.add_argument(
        "--output-tokens", type=_number(10**6), metavar="N", help="of an answer: 128, if they fit"
    )
    parser.add_argument("--tokenizer", metavar="NAME", help="hub name or path in the image: the model's own")
    parser.add_argument("--seed", type=_number(2**31), metavar="N", help="of the random prompts: the time")
    parser.add_argument("--save", metavar="FILE", help="the result, as JSON: NAME-bench-TIME.json")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")
    parser.add_argument(
        "--compare", nargs=2, metavar=("A", "B"), help="show two results side by side instead"
    )


def execute(options: argparse.Namespace) -> int:
    """Measure, show and save; or compare."""
    from rayspan.cli.errors import WrongInput

    if bool(options.compare) == bool(options.name):
        raise WrongInput("give the NAME of an LLMDeployment, or --compare with two results")
    return _compare(options) if options.compare else _bench(options)


def _compare(options: argparse.Namespace) -> int:
    from rayspan.cli.bench.compare import comparison
    from rayspan.cli.bench.record import read_benchmark

    first, second = (read_benchmark(path) for path in options.compare)
    if options.output == "table":
        from rayspan.cli.bench.view import comparison_view
        from rayspan.cli.screen import show

        show(comparison_view(first, second), columns=140)
    else:
        from rayspan.cli.documents import write

        write([comparison(first, second)], options.output)
    return 0


def _bench(options: argparse.Namespace) -> int:
    import asyncio
    from datetime import UTC, datetime

    from rayspan.cli.bench.files import place, save
    from rayspan.cli.documents import write

    at = datetime.now(UTC)
    path = place(options.save or f"{options.name}-bench-{at:%Y%m%d-%H%M%S}.json")
    benchmark = asyncio.run(_measured(options, at))
    if options.output == "table":
        from rayspan.cli.bench.view import view
        from rayspan.cli.screen import show

        show(view(benchmark), columns=160)
    else:
        write([benchmark.document()], options.output)
    save(benchmark, path)
    return 1 if benchmark.problem else 0


async def _measured(options: argparse.Namespace, at: datetime) -> Benchmark:
    import asyncio
    import time

    from rayspan.cli.bench.progress import Bar
    from rayspan.cli.bench.request import Wish, image, load, question
    from rayspan.cli.bench.run import Run
    from rayspan.cli.connection import ask, llm_deployment
    from rayspan.cluster.client import Client
    from rayspan.cluster.stored import stored
    from rayspan.render import bench_job

    document = await llm_deployment(options)
    deployment, _ = stored(document)
    wish = Wish(**{field: getattr(options, field) for field in Wish.__dataclass_fields__})
    of = image(deployment)
    asked = load(deployment, wish, seed=int(at.timestamp()))
    job = bench_job(deployment, of, question(deployment, asked, options.tokenizer))

    async def work(client: Client) -> Run:
        with Bar(asked.levels) as bar:
            run = Run(client, document, bar, time.monotonic, asyncio.sleep)
            await run(job)
            return run

    return _benchmark(await ask(options.kubeconfig, work), asked, at)


def _benchmark(run: Run, asked: Load, at: datetime) -> Benchmark:
    from rayspan.cli.bench.record import Benchmark, Metadata
    from rayspan.cli.bench.saturation import saturation

    meta, status = run.deployment["metadata"], run.deployment.get("status") or {}
    return Benchmark(
        metadata=Metadata(
            name=meta["name"],
            namespace=meta["namespace"],
            generation=meta.get("generation", 0),
            created_at=f"{at:%Y-%m-%dT%H:%M:%SZ}",
        ),
        load=asked,
        tool=run.tool,
        layout=(status.get("plan") or {}).get("layout"),
        replicas=(status.get("replicas") or {}).get("ready"),
        environment=status.get("environment") or {},
        levels=tuple(run.levels),
        saturation=saturation(run.levels),
        diagnosis=status.get("diagnosis") or {},
        problem=run.problem,
    )


def _levels(text: str) -> tuple[int, ...]:
    """``1,2,4`` as numbers, rising."""
    wrong = argparse.ArgumentTypeError(
        f"{text!r} is not a list of at most {_MOST_LEVELS} rising numbers from 1 to {_MOST_AT_A_TIME}: "
        "write for example 1,2,4,8,16"
    )
    try:
        levels = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise wrong from None
    rising = all(lower < upper for lower, upper in zip((0, *levels), levels, strict=False))
    if not rising or len(levels) > _MOST_LEVELS or levels[-1] > _MOST_AT_A_TIME:
        raise wrong
    return levels


def _number(most: int) -> Callable[[str], int]:
    """A whole number from 1 on."""

    def read(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {most}")
        return int(text)

    return read
