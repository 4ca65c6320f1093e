"""Bytes of a model's weights: of each layer, the embedding and the head.

Two sources, and it is said which: the headers of the safetensors files, where the inspection could read them (exact,
with everything that lies in them), else the parameters that the config adds up to (:mod:`.parameters`) times what
a number takes in the checkpoint's format.

======================  ==============================  =====================================================
format                  bytes of a quantised number     of which numbers
======================  ==============================  =====================================================
none                    size of the data type           all
fp8                     1, and 4 per block of scales    matrices and experts
awq, gptq, b bits       b/8, and per group a scale of   matrices and experts
                        2 and a zero of b/8
compressed-tensors      bits/8, and 2 per group         matrices and experts
mxfp4                   1/2, and 1 per 32               experts alone (gpt-oss)
modelopt NVFP4, FP8     1/2 and 1 per 16; 1             matrices and experts
bitsandbytes            1/2 or 1                        as published: not quantised, it is done at loading
======================  ==============================  =====================================================

Sources of the formats: vllm/model_executor/layers/quantization (fp8.py, awq.py, gptq.py, mxfp4.py, modelopt.py) and
the tensors of published checkpoints (tests/unit/plan/test_weights.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rayspan.plan.model_config import Config
from rayspan.plan.parameters import Parameters, count

DTYPE_BYTES: Final[Mapping[str, float]] = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float8_e4m3fn": 1,
    "float8_e5m2": 1,
    "int8": 1,
}

HEADERS, CONFIG = "headers", "config"


@dataclass(frozen=True)
class Weights:
    """Bytes as they lie on disk, which is what vLLM keeps on the GPU unless the engine is told to convert."""

    layers: tuple[int, ...]
    experts: tuple[int, ...]
    """What of each layer are experts that the router chooses among."""
    embedding: int
    head: int
    """0: it is the embedding. A pipeline's last stage then holds a copy of it."""
    rest: int
    """What every stage may need: norms, and towers beside the text model, which the first stage holds."""
    source: str
    """``headers`` or ``config``."""

    @property
    def total(self) -> int:
        """All of it, once."""
        return sum(self.layers) + self.embedding + self.head + self.rest


def from_config(config: Config) -> Weights:
    """What the config adds up to. Raises model_config.Incomplete."""
    counted, number = count(config), DTYPE_BYTES.get(config.dtype, 2)
    matrix, expert = _number_bytes(config.quantization, number)

    def stored(parameters: Parameters) -> int:
        return round(parameters.matrices * matrix + parameters.experts * expert + parameters.plain * number)

    return Weights(
        layers=tuple(stored(layer) for layer in counted.layers),
        experts=tuple(round(layer.experts * expert) for layer in counted.layers),
        embedding=round(counted.embedding * number),
        head=round(counted.head * number),
        rest=round(counted.last_norm * number),
        source=CONFIG,
    )


def _number_bytes(quantization: Mapping[str, Any], plain: float) -> tuple[float, float]:
    """Bytes of a number of a matrix and of one of an expert."""
    method = str(quantization.get("quant_method") or "")
    if method in ("awq", "gptq", "gptq_marlin", "awq_marlin"):
        bits, group = (
            quantization.get("bits") or quantization.get("w_bit") or 4,
            quantization.get("group_size"),
        )
        each = bits / 8 + (2 + bits / 8) / (group if isinstance(group, int) and group > 0 else 4096)
        return each, each
    if method == "fp8":
        block = quantization.get("weight_block_size")
        each = 1 + (4 / (block[0] * block[1]) if isinstance(block, list) and len(block) == 2 else 0)
        return each, each
    if method == "compressed-tensors":
        each = _compressed(quantization)
        return each or plain, each or plain
    if method == "mxfp4":
        return plain, 1 / 2 + 1 / 32
    if method == "modelopt":
        each = 1 / 2 + 1 / 16 if "FP4" in str(quantization.get("quant_algo")).upper() else 1.0
        return each, each
    return plain, plain


def _compressed(quantization: Mapping[str, Any]) -> float | None:
    groups = quantization.get("config_groups")
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") if isinstance(group, Mapping) else None
        if isinstance(weights, Mapping) and isinstance(bits := weights.get("num_bits"), int):
            size = weights.get("group_size")
            return bits / 8 + (2 / size if isinstance(size, int) and size > 0 else 0.0)
    return None
