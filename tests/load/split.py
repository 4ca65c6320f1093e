"""vLLM's own split against the planned one, on CPU: the same model, alternating runs, side by side.

    PYTHONPATH=operator:serving_image python tests/load/split.py      (the Python of serving_image/environment.sh)

One stage per core, over vLLM's mp executor. Weights are random, for only the work counts: a large vocabulary makes the
head as heavy as many layers, and the even split leaves the last stage with all of it. Prints predicted and measured
gain; the prediction knows nothing of CPUs and goes by the bytes of the weights.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

SEQUENCES = 4
"""Of a micro-batch."""
TOKENS = 64
SHORT = 8


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


def planned(content: dict[str, Any], stages: int) -> tuple[tuple[int, ...], tuple[int, ...], float]:
    """The planned split, vLLM's, and by how much the former is predicted to be faster."""
    from rayspan.plan.gpus import UNKNOWN
    from rayspan.plan.model_facts import model_facts
    from rayspan.plan.split import Problem, solve
    from rayspan.plan.stage_time import decode_seconds, stage_seconds, vllm_default, work

    facts = model_facts(content)
    assert facts.weights is not None
    todo = work(facts.weights, 0, 0)
    found = solve(
        Problem(
            facts.layers,
            stages,
            [stages],
            lambda stage, kind: True,
            lambda one: decode_seconds(todo, UNKNOWN, 1, one.place, one.begin, one.end, stages),
            lambda one: inf,
        )
    )
    assert found is not None
    default = vllm_default(facts.layers, stages)
    slow, fast = (max(stage_seconds(todo, [UNKNOWN] * stages, 1, split)) for split in (default, found.layers))
    return found.layers, default, slow / fast - 1


def measure(folder: str, split: Sequence[int]) -> None:
    """One engine: milliseconds in which every sequence gains a token, on the last line of the output."""
    from vllm import LLM, SamplingParams

    stages = len(split)
    llm = LLM(
        model=folder,
        load_format="dummy",
        skip_tokenizer_init=True,
        pipeline_parallel_size=stages,
        distributed_executor_backend="mp",
        dtype="float32",
        max_model_len=256,
        max_num_seqs=SEQUENCES * stages,
        max_num_batched_tokens=256,
        enable_prefix_caching=False,
        kv_cache_memory_bytes=64 << 20,
        compilation_config={"mode": 2, "backend": "eager"},
    )
    prompts: Any = [{"prompt_token_ids": [7 + i] * (256 // SEQUENCES)} for i in range(SEQUENCES * stages)]

    def run(tokens: int) -> float:
        sampling = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        began = time.perf_counter()
        llm.generate(prompts, sampling, use_tqdm=False)
        return time.perf_counter() - began

    run(SHORT)
    steps = [(run(TOKENS) - run(SHORT)) / (TOKENS - SHORT) * 1e3 for _ in range(3)]
    print(f"\nSTEP {statistics.median(steps)}", flush=True)
    os._exit(0)


def engine(folder: str, split: Sequence[int]) -> float:
    """``measure`` in a process of its own."""
    environment = {
        **os.environ,
        "VLLM_PP_LAYER_PARTITION": ",".join(map(str, split)),
        "VLLM_CPU_OMP_THREADS_BIND": "|".join(str(core) for core in range(len(split))),
        "VLLM_LOGGING_LEVEL": "ERROR",
        "HF_HUB_OFFLINE": "1",
        "VLLM_PLUGINS": "",
    }
    command = [
        sys.executable,
        __file__,
        "--measure",
        folder,
        "--split",
        environment["VLLM_PP_LAYER_PARTITION"],
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("STEP ")]
    if not lines:
        raise SystemExit(f"the engine did not come up:\n{(done.stdout + done.stderr)[-3000:]}")
    return float(lines[-1].split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--vocabulary", type=int, default=32768)
    parser.add_argument("--stages", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--split", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, [int(part) for part in options.split.split(",")])
    content = config(options)
    ours, theirs, predicted = planned(content, options.stages)
    print(f"vLLM's split {theirs}, planned {ours}: {predicted:+.0%} predicted", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(content))
        rounds = []
        for number in range(options.rounds):
            step = [engine(folder, theirs), engine(folder, ours)]
            rounds.append(step)
            rate = [1e3 * SEQUENCES * options.stages / each for each in step]
            print(
                f"round {number + 1}: {step[0]:.1f} and {step[1]:.1f} ms from token to token, "
                f"{rate[0]:.0f} and {rate[1]:.0f} tokens/s, {step[0] / step[1] - 1:+.0%}",
                flush=True,
            )
    gains = [slow / fast - 1 for slow, fast in rounds]
    print(f"median gain {statistics.median(gains):+.0%}, predicted {predicted:+.0%}")


if __name__ == "__main__":
    main()
