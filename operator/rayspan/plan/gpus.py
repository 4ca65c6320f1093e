"""What a GPU does in a given time: a small table, each row saying where its numbers are from.

A decode step of one layer takes ``layer_seconds + bytes / bandwidth``: many small kernels have a cost of their own,
and so counting bytes alone promises a third too much from moving layers. The head is one large product and pays
``bytes / bandwidth`` alone. Each stage adds a fixed cost by its place: what it receives, sends and samples. And
under ``floor_seconds`` no micro-batch gets, however few its layers: scheduling, broadcast, the hop back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final


@dataclass(frozen=True)
class Gpu:
    """Constants of one product."""

    product: str
    """As the usual node labels name it, without vendor: a label that contains it means this row."""
    bandwidth: float
    """Bytes of weights per second that a decode step reads."""
    layer_seconds: float
    """Cost of a layer beside its bytes."""
    first_seconds: float
    """Fixed cost of stage 0."""
    middle_seconds: float
    """Fixed cost of a stage between two others."""
    last_seconds: float
    """Fixed cost of the last stage, without the head's product."""
    tensor_seconds: float
    """Cost of a layer for its GPUs to agree, where a stage has more than one."""
    floor_seconds: float
    """Least time of a micro-batch in a pipeline."""
    single_seconds: float
    """Least time of a step without a pipeline."""
    flops: float
    """Of 16-bit products per second in prefill."""
    source: str
    """``measured`` or ``estimated``, and from what."""


H200: Final = Gpu(
    product="H200",
    bandwidth=4.27e12,
    layer_seconds=50e-6,
    first_seconds=0.20e-3,
    middle_seconds=0.75e-3,
    last_seconds=0.13e-3,
    tensor_seconds=80e-6,
    floor_seconds=2.35e-3,
    single_seconds=1.6e-3,
    flops=690e12,
    source="measured: vLLM 0.26, one host, Llama shapes of 3B to 70B, 8 and 32 sequences a stage; docs/performance.md",
)


def _estimated(product: str, terabytes_per_second: float, teraflops: float) -> Gpu:
    """A row by the vendor's datasheet: the H200's measured share of its own (89 % of 4.8 TB/s, 70 % of 990
    TFLOP/s); the fixed costs are mostly the host's and taken over as they are."""
    return replace(
        H200,
        product=product,
        bandwidth=H200.bandwidth * terabytes_per_second / 4.8,
        flops=H200.flops * teraflops / 990,
        source=f"estimated: the H200's measured share of the datasheet's {terabytes_per_second} TB/s and "
        f"{teraflops} TFLOP/s",
    )


UNKNOWN: Final = replace(
    _estimated("", 2.0, 300.0),
    first_seconds=0.0,
    middle_seconds=0.0,
    last_seconds=0.0,
    layer_seconds=0.0,
    tensor_seconds=0.0,
    floor_seconds=0.0,
    single_seconds=0.0,
    source="estimated: not in the table, so time is taken to go with the bytes of the weights",
)
"""A GPU that the table does not know, and CPUs: what matters is only how stages compare."""

_BY_DATASHEET: Final = _estimated("H100", 3.35, 990)
_H100: Final = replace(
    _BY_DATASHEET, source=f"{_BY_DATASHEET.source}; six steps measured on one were within 4 %"
)

TABLE: Final[Sequence[Gpu]] = (
    H200,
    _estimated("GB200", 8.0, 2500),
    _estimated("B200", 8.0, 2250),
    _estimated("H100-NVL", 3.9, 835),
    _estimated("H100-PCIe", 2.0, 756),
    _H100,
    _estimated("H20", 4.0, 148),
    _estimated("A100-SXM4-40GB", 1.555, 312),
    _estimated("A100-PCIE-40GB", 1.555, 312),
    _estimated("A100", 2.0, 312),
    _estimated("L40S", 0.864, 362),
    _estimated("L40", 0.864, 181),
    _estimated("L4", 0.3, 121),
    _estimated("A10G", 0.6, 70),
    _estimated("A10", 0.6, 125),
    _estimated("RTX-6000-Ada", 0.96, 364),
    _estimated("MI325X", 6.0, 1307),
    _estimated("MI300X", 5.3, 1307),
)
"""The first row whose product a label contains counts. Datasheets: nvidia.com and amd.com, dense bf16."""


@lru_cache
def gpu(product: str | None) -> Gpu:
    """The row of a product as a node's label has it, such as ``NVIDIA-H100-80GB-HBM3``."""
    name = (product or "").upper().replace(" ", "-").replace("_", "-")
    return next(
        (row for row in TABLE if row.product.upper() in name.split("-") or _within(row, name)), UNKNOWN
    )


def _within(row: Gpu, name: str) -> bool:
    return "-" in row.product and row.product.upper() in name
