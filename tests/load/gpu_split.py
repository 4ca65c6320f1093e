"""Splits of a model over real GPUs of one host: the planned one, vLLM's own and their neighbours, in one run.

    PYTHONPATH=operator python tests/load/gpu_split.py SHAPE:LAYERS:STAGES:SEQUENCES ...

With vLLM (0.26 was used so far) and as many GPUs as stages; engines of two stages run beside each other where there are
four. Shapes are those of tests/unit/plan/measured.yaml; weights are random. Prints a line of YAML per engine, as that
file holds them, with the prediction, and per model the regret of the planned split and its gain over vLLM's.

A host whose processors are slow or shared shows in the floor: a small model whose step takes far longer than measured
before. Its figures say nothing about GPUs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from queue import Queue
from typing import Any

import yaml

MEASURED = Path(__file__).parents[1] / "unit" / "plan" / "measured.yaml"
PROMPT_TOKENS = 1024
"""Of a micro-batch."""
TOKENS, SHORT, TIMES = 132, 4, 4
PLUGS = 4
"""Micro-batches of prefill ahead of the sequences that are timed."""
MANY, FEW = 24, 8
"""Micro-batches of prefill."""
LIMIT_SECONDS = 120
MEMORY = {"NVIDIA-H200": 143771 << 20, "NVIDIA-H100-80GB-HBM3": 81559 << 20}
"""Bytes of a GPU as its label tells them, by product."""
SHARE = 0.4
"""gpu_memory_utilization."""
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Model:
    """What is split."""

    shape: str
    layers: int
    stages: int
    sequences: int
    product: str = "NVIDIA-H200"

    def config(self) -> dict[str, Any]:
        """Its config.json."""
        shape = yaml.safe_load(MEASURED.read_text())["shapes"][self.shape]
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "dtype": "bfloat16",
            "num_hidden_layers": self.layers,
            "hidden_size": shape["hidden"],
            "intermediate_size": shape["inner"],
            "num_attention_heads": shape["heads"],
            "num_key_value_heads": shape["kv_heads"],
            "head_dim": 128,
            "vocab_size": shape["vocabulary"],
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
        }


def splits(model: Model) -> tuple[tuple[int, ...], tuple[int, ...], dict[tuple[int, ...], float]]:
    """Planned, vLLM's, and all to be measured with their predicted steps in ms."""
    from rayspan.plan.gpus import gpu
    from rayspan.plan.model_facts import model_facts
    from rayspan.plan.split import Problem, Segment, solve
    from rayspan.plan.stage_time import load_seconds, stage_seconds, step_seconds, vllm_default, work

    facts, row, stages = model_facts(model.config()), gpu(model.product), model.stages
    assert facts.weights is not None
    whole = work(facts.weights, 0, 0, model.sequences, prompt_tokens=0)  # for the steps measured have none

    def seconds(one: Segment) -> float:
        return load_seconds(whole, row, 1, one.place, one.begin, one.end, stages)

    found = solve(Problem(model.layers, stages, [stages], lambda stage, kind: True, seconds, lambda one: inf))
    assert found is not None
    default = vllm_default(model.layers, stages)
    wanted = dict.fromkeys([found.layers, default, *neighbours(found.layers)])
    rows = [row] * stages
    predicted = {split: step_seconds(stage_seconds(whole, rows, 1, split), rows) * 1e3 for split in wanted}
    return found.layers, default, predicted


def held(model: Model, split: Sequence[int], log: str) -> str:
    """Of each stage: GiB of weights and of what is left for the cache, as vLLM says and as predicted."""
    from rayspan.plan.memory import GIB, Memory, engine
    from rayspan.plan.model_facts import model_facts
    from rayspan.plan.split import place

    facts, said = model_facts(model.config()), []
    memory = Memory(facts, engine(arguments(model.sequences, model.stages), facts), 1)
    edges = [0, *accumulate(split)]
    for stage, (begin, end) in enumerate(pairwise(edges)):
        need = memory.need(place(stage, len(split)), begin, end, MEMORY[model.product])
        cache = memory.room(need, MEMORY[model.product]).cache
        seen = [
            re.findall(rf"PP{stage}.*{words} ([\d.]+) GiB", log)
            for words in ("Model loading took", "Available KV cache memory:")
        ]
        weights, left = (float(one[-1]) if one else inf for one in seen)
        said.append(
            f"weights {weights:.2f} ({need.weights / GIB / weights - 1:+.1%}), left {left:.2f} ({cache / GIB - left:+.2f} GiB)"
        )
    return "; ".join(said)


def arguments(sequences: int, stages: int) -> dict[str, Any]:
    """Engine arguments that memory depends on."""
    return {
        "max_model_len": 2048,
        "max_num_seqs": sequences * stages + PLUGS,
        "max_num_batched_tokens": PROMPT_TOKENS,
        "gpu_memory_utilization": SHARE,
    }


def neighbours(layers: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """One layer from the last stage to another, and back."""
    for stage in range(len(layers) - 1):
        for moved in (1, -1):
            split = list(layers)
            split[stage] += moved
            split[-1] -= moved
            if min(split) > 0:
                yield tuple(split)


def measure(folder: str, split: Sequence[int], sequences: int, answer: Any) -> None:
    """One engine, in a process of its own: sends the decode step and the prefill of a micro-batch, in ms."""
    from vllm import LLM, SamplingParams

    stages = len(split)
    llm = LLM(
        model=folder,
        load_format="dummy",
        skip_tokenizer_init=True,
        pipeline_parallel_size=stages,
        distributed_executor_backend="mp" if stages > 1 else None,
        enable_prefix_caching=False,
        **arguments(sequences, stages),
        compilation_config={
            "mode": 0,
            "cudagraph_mode": "FULL_DECODE_ONLY",
            "cudagraph_capture_sizes": [sequences, sequences * 5 // 4, sequences * stages],
        },
    )

    def prompts(count: int, length: int) -> list[Any]:
        return [{"prompt_token_ids": [7 + i % 1000] * length} for i in range(count)]

    def sampling(tokens: int) -> SamplingParams:
        return SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)

    def run(first: int, more: list[Any], tokens: int) -> float:
        """Seconds of so many micro-batches of prefill, and of more prompts with so many tokens each."""
        batch = prompts(first, PROMPT_TOKENS) + more
        each = [sampling(1)] * first + [sampling(tokens)] * len(more)
        began = time.perf_counter()
        llm.generate(batch, each, use_tqdm=False)
        return time.perf_counter() - began

    def decode(tokens: int) -> float:
        # While the first are at work all others arrive: so they come in as many equal groups as there are stages.
        return run(PLUGS, prompts(sequences * stages, PROMPT_TOKENS // sequences), tokens)

    def prefill(micro_batches: int) -> float:
        return run(micro_batches, [], 1)

    decode(TOKENS), prefill(FEW)
    steps = [(decode(TOKENS) - decode(SHORT)) / (TOKENS - SHORT) * 1e3 for _ in range(TIMES)]
    prefills = [(prefill(MANY) - prefill(FEW)) / (MANY - FEW) * 1e3 for _ in range(TIMES)]
    answer.send((min(steps), statistics.median(prefills)))


def log_of(folder: str, split: Sequence[int]) -> Path:
    """What the engine with this split says."""
    return Path(folder) / f"{'-'.join(map(str, split))}.log"


def engine(folder: str, split: Sequence[int], sequences: int, gpus: Sequence[int]) -> tuple[float, float]:
    """``measure`` on these GPUs, forked off so that vLLM is imported once; infinities: it failed, and its log is told."""
    here, there = FORK.Pipe(duplex=False)
    log = log_of(folder, split)

    def child() -> None:
        os.setsid()
        with log.open("w") as file:
            os.dup2(file.fileno(), 1), os.dup2(file.fileno(), 2)
        os.environ.update(
            {
                "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus)),
                "VLLM_PP_LAYER_PARTITION": ",".join(map(str, split)),
            }
        )
        measure(folder, split, sequences, there)

    process = FORK.Process(target=child)
    process.start()
    there.close()
    try:
        answer: tuple[float, float] = here.recv() if here.poll(LIMIT_SECONDS) else (inf, inf)
    except EOFError:
        answer = inf, inf
    if answer == (inf, inf):
        print(log.read_text()[-1500:], file=sys.stderr)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
    return answer


def compare(model: Model, gpus: int) -> None:
    """All splits of a model, as many at a time as there are GPUs for."""
    planned, default, predicted = splits(model)
    free: Queue[list[int]] = Queue()
    for first in range(0, gpus - model.stages + 1, model.stages):
        free.put(list(range(first, first + model.stages)))

    def one(split: tuple[int, ...]) -> tuple[float, float]:
        mine = free.get()
        try:
            return engine(folder, split, model.sequences, mine)
        finally:
            free.put(mine)

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(free.qsize()) as pool:
        (Path(folder) / "config.json").write_text(json.dumps(model.config()))
        seen = dict(zip(predicted, pool.map(one, predicted), strict=True))
        logs = {split: log_of(folder, split).read_text() for split in predicted}
    for split, (step, prefill) in seen.items():
        print(
            f"  - {{shape: {model.shape}, layers: {list(split)}, sequences: {model.sequences}, step_ms: {step:.2f}, "
            f"prefill_ms: {prefill:.2f}}}  # predicted {predicted[split]:.2f}, {predicted[split] / step - 1:+.0%}; "
            + held(model, split, logs[split]),
            flush=True,
        )
    steps = {split: step for split, (step, _) in seen.items()}
    best = min(steps, key=lambda split: steps[split])
    print(
        f"# {model.shape}, {model.layers} layers: planned {planned}, best {best}: regret "
        f"{steps[planned] / steps[best] - 1:.1%}; gain over vLLM's {default} {steps[default] / steps[planned] - 1:+.1%}, "
        f"predicted {predicted[default] / predicted[planned] - 1:+.1%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="SHAPE:LAYERS:STAGES:SEQUENCES")
    parser.add_argument("--gpus", type=int, default=4)
    parser.add_argument("--product", choices=MEMORY, default="NVIDIA-H200")
    options = parser.parse_args()
    os.environ.update({"VLLM_USE_FLASHINFER_SAMPLER": "0", "HF_HUB_OFFLINE": "1"})
    import vllm  # noqa: F401  before the forks, for all of them

    for text in options.models:
        shape, layers, stages, sequences = text.split(":")
        compare(Model(shape, int(layers), int(stages), int(sequences), options.product), options.gpus)


if __name__ == "__main__":
    main()
