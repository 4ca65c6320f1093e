"""vLLM's own split against the planned one, on CPU: the same model, alternating runs, side by side.

    make split [OPTIONS="--stages 3"]

Stages run over Ray as they do when serving, each with a share of a core as a pod's CPU limit would give it (a cgroup's
quota). Weights are random, for only the work counts: a large vocabulary makes the head as heavy as many layers, and
the even split leaves the last stage with all of it. The prediction knows nothing of CPUs and goes by the bytes of the
weights; the suggestion is what the operator makes of the stages' times seen with vLLM's split.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from cpu_share import limited
from local_ray import LocalRay
from metrics_page import value

SEQUENCES = 4
"""Of a micro-batch."""
PROMPT_TOKENS = 64
"""Of a micro-batch, and as many as a step may have: so that the sequences come in as many groups as there are stages."""
TOKENS = 40
SHORT = 8


@dataclass(frozen=True)
class Run:
    """What one engine did."""

    step_ms: float
    """From a sequence's token to its next."""
    stage_ms: tuple[float, ...]
    """Work of each stage on a decode step, as the operator reads it."""


def config(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "hidden_size": options.hidden,
        "intermediate_size": 2 * options.hidden,
        "num_attention_heads": options.hidden // 64,
        "num_key_value_heads": options.hidden // 64,
        "head_dim": 64,
        "num_hidden_layers": options.layers,
        "vocab_size": options.vocabulary,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
    }


class Planner:
    """The operator's sums, for a GPU that its table does not know."""

    def __init__(self, content: dict[str, Any], stages: int) -> None:
        from rayspan.plan import stage_time
        from rayspan.plan.gpus import UNKNOWN
        from rayspan.plan.model_facts import model_facts

        self.facts, self.stages, self._gpu = model_facts(content), stages, UNKNOWN
        assert self.facts.weights is not None
        self._work = stage_time.work(self.facts.weights, 0, 0)
        self.default = stage_time.vllm_default(self.facts.layers, stages)

    def planned(self) -> tuple[int, ...]:
        """The split of the plan."""
        from rayspan.plan.split import Problem, solve
        from rayspan.plan.stage_time import load_seconds

        found = solve(
            Problem(
                self.facts.layers,
                self.stages,
                [self.stages],
                lambda stage, kind: True,
                lambda s: load_seconds(self._work, self._gpu, 1, s.place, s.begin, s.end, self.stages),
                lambda s: inf,
            )
        )
        assert found is not None
        return found.layers

    def gain(self, split: Sequence[int]) -> float:
        """By how much it is predicted to be faster than vLLM's."""
        from rayspan.plan.stage_time import stage_seconds

        slow, fast = (
            max(stage_seconds(self._work, [self._gpu] * self.stages, 1, s)) for s in (self.default, split)
        )
        return slow / fast - 1

    def suggested(self, seen_ms: Sequence[float]) -> tuple[int, ...] | None:
        """The better split by the times of vLLM's."""
        from rayspan.plan.suggestion import Seen, better_split
        from rayspan.plan.types import Plan, StagePlan

        cut = tuple(StagePlan(index, layers, {}, ()) for index, layers in enumerate(self.default))
        seen = [Seen(one / 1e3, self._gpu, None) for one in seen_ms]
        better = better_split(self.facts, {}, Plan(1, cut, "nvidia.com/gpu"), seen)
        return better.layers if better else None


def measure(folder: str, stages: int) -> None:
    """One engine, in a process of its own: says READY, and after a line of input how long a step takes."""
    from vllm import LLM, SamplingParams

    llm = LLM(
        model=folder,
        load_format="dummy",
        skip_tokenizer_init=True,
        pipeline_parallel_size=stages,
        distributed_executor_backend="ray",
        worker_cls="rayspan_serving.stage_worker.StageWorker",
        dtype="float32",
        max_model_len=256,
        max_num_seqs=SEQUENCES * stages,
        max_num_batched_tokens=PROMPT_TOKENS,
        enable_prefix_caching=False,
        kv_cache_memory_bytes=512 << 20,
        compilation_config={"mode": 2, "backend": "eager"},
    )
    prompts: Any = [
        {"prompt_token_ids": [7 + i] * (PROMPT_TOKENS // SEQUENCES)} for i in range(SEQUENCES * stages)
    ]

    def run(tokens: int) -> float:
        sampling = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        began = time.perf_counter()
        llm.generate(prompts, sampling, use_tqdm=False)
        return time.perf_counter() - began

    run(SHORT)
    print("\nREADY", flush=True)
    sys.stdin.readline()
    steps = [(run(TOKENS) - run(SHORT)) / (TOKENS - SHORT) * 1e3 for _ in range(2)]
    print(f"\nSTEP {statistics.median(steps)}", flush=True)
    sys.stdin.readline()


def engine(ray: Any, folder: str, split: Sequence[int], share: float) -> Run:
    """``measure`` on the Ray cluster, its stages held to their share."""
    stages = len(split)
    environment = {
        **ray.all_environment(),
        "RAY_ADDRESS": f"127.0.0.1:{ray.gcs_port}",
        "VLLM_PP_LAYER_PARTITION": ",".join(map(str, split)),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    command = [sys.executable, __file__, "--measure", folder, "--stages", str(stages)]
    log = Path(folder) / "engine.log"
    with log.open("w") as errors:
        child = subprocess.Popen(
            command, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    seen: list[str] = []

    def until(word: str) -> str:
        assert child.stdout is not None
        for line in child.stdout:
            seen.append(line)
            if line.startswith(word):
                return line
        raise SystemExit(f"the engine did not come up:\n{''.join(seen)[-2000:]}\n{log.read_text()[-2000:]}")

    def counted(metric: str) -> list[float]:
        time.sleep(3)  # Ray exports every second
        page = "\n".join(node.metrics() for node in ray.nodes.values())
        return [
            value(f"ray_rayspan_stage_{metric}_total", page, stage=str(stage), kind="decode")
            for stage in range(stages)
        ]

    until("READY")
    workers = {actor["name"][-3:]: actor["pid"] for actor in ray.actors("RayWorkerProc")}
    with limited([workers[f"PP{stage}"] for stage in range(stages)], share):
        before = counted("seconds"), counted("steps")
        child.stdin.write("\n")
        child.stdin.flush()
        step = float(until("STEP").split()[1])
        after = counted("seconds"), counted("steps")
    os.killpg(child.pid, signal.SIGKILL)  # with its engine's process: Ray then takes the stages away
    child.wait()
    return Run(
        step,
        tuple((after[0][i] - before[0][i]) / (after[1][i] - before[1][i]) * 1e3 for i in range(stages)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=65536)
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--share", type=float, default=0.5, help="of a core, for each stage")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.stages)
    content = config(options)
    planner = Planner(content, options.stages)
    ours, theirs = planner.planned(), planner.default
    print(f"vLLM's split {theirs}, planned {ours}: {planner.gain(ours):+.0%} predicted", flush=True)
    rounds: list[tuple[Run, Run]] = []
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp") as folder:
        model, session = Path(folder) / "model", Path(folder) / "ray"
        model.mkdir()
        session.mkdir()
        (model / "config.json").write_text(json.dumps(content))
        ray = LocalRay(session)
        try:
            ray.start(*range(options.stages))
            for number in range(options.rounds):
                pair = tuple(engine(ray, str(model), split, options.share) for split in (theirs, ours))
                rounds.append((pair[0], pair[1]))
                tell(number, pair, planner, (theirs, ours))
            suggested = planner.suggested(
                [statistics.median(r[0].stage_ms[i] for r in rounds) for i in range(options.stages)]
            )
            print(f"suggested from the stages' times: {suggested}", flush=True)
            if suggested and suggested != ours:
                run = engine(ray, str(model), suggested, options.share)
                print(f"  {run.step_ms:.1f} ms from token to token", flush=True)
        finally:
            ray.stop()
    gains = [slow.step_ms / fast.step_ms - 1 for slow, fast in rounds]
    print(f"median gain {statistics.median(gains):+.0%}, predicted {planner.gain(ours):+.0%}")


def tell(number: int, pair: Sequence[Run], planner: Planner, splits: Sequence[Sequence[int]]) -> None:
    """A round, a line for each split."""
    for run, split in zip(pair, splits, strict=True):
        rate = 1e3 * SEQUENCES * planner.stages / run.step_ms
        stages = ", ".join(f"{one:.1f}" for one in run.stage_ms)
        print(
            f"round {number + 1}, {tuple(split)}: {run.step_ms:.1f} ms from token to token, {rate:.0f} tokens/s, "
            f"stages work {stages} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()
