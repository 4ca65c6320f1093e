"""How long a plan takes: a model of 160 layers over 64 nodes of four kinds.

python tests/load/planning.py
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.model_facts import model_facts
from rayspan.plan.plan import plan
from rayspan.plan.types import Plan

from tests.unit.plan.known import MODELS, machines

LAYERS = 160
NODES = (
    *machines(16, 1, "NVIDIA-H100-80GB-HBM3", 80),
    *machines(16, 1, "NVIDIA-A100-SXM4-80GB", 80),
    *machines(16, 1, "NVIDIA-L40S", 48),
    *machines(16, 1, "NVIDIA-A100-SXM4-40GB", 40),
)
WISHES = {"left to the planner": {}, "16 stages": {"pipeline": 16}, "32 stages": {"pipeline": 32}}


def main() -> None:
    model = model_facts({**MODELS["meta-llama/Llama-3.1-70B-Instruct"], "num_hidden_layers": LAYERS})
    for name, parallelism in WISHES.items():
        spec = Spec.model_validate(
            {"model": {"id": "m"}, "parallelism": parallelism, "engine": {"args": {"max_model_len": 8192}}}
        )
        took = []
        for _ in range(5):
            began = time.perf_counter()
            found = plan(spec, model, NODES, None)
            took.append(time.perf_counter() - began)
        answer = found.layout if isinstance(found, Plan) else found.message
        print(f"{name}: {answer} in {statistics.median(took):.2f} s (worst of 5: {max(took):.2f} s)")


if __name__ == "__main__":
    main()
