"""An engine whose times can be set while it runs, in place of vLLM (`RAYLLM_VLLM_ENGINE_CLS`).

It stands in to inject faults: everything before it is real, Serve, proxies, ingresses and router. As vLLM does, it
runs steps in which each running sequence gains a token, keeps what has no slot or no cache waiting, and drops the
youngest when the cache is full. Two or more sequences make two micro-batches, which the stages work on in turn:

    step = max(stages one after the other with their hops, micro-batches x slowest stage)
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ray import serve
from ray.llm._internal.serve.core.engine.protocol import LLMEngine
from ray.util.metrics import Counter, Gauge
from rayspan_serving.stage_clock import DECODE
from rayspan_serving.stage_meter import StageMeter

SETTINGS = "RAYSPAN_FAULTS"
"""Names the file that :class:`Settings` are read from."""
IDLE_SECONDS = 0.5
"""Between two looks at the settings, when nothing is asked."""


@dataclass
class Settings:
    """What can be set. Times in seconds."""

    stages: list[float] = field(default_factory=lambda: [0.02, 0.02])
    """Work of each stage on a micro-batch."""
    hop: float = 0.001
    slots: int = 8
    """Sequences that run at once."""
    cache_tokens: int = 100_000
    text: int = 4
    """Characters of a token."""
    skew: bool = False
    """Whether the router sends all to one replica."""
    slow_replica: str = ""
    """Whose stages take ``slowness`` times as long."""
    slowness: float = 1.0

    @classmethod
    def read(cls) -> "Settings":
        return cls(**json.loads(Path(os.environ[SETTINGS]).read_text()))

    def of(self, replica: str) -> "Settings":
        """As one replica has them."""
        factor = self.slowness if replica == self.slow_replica else 1.0
        return replace(self, stages=[seconds * factor for seconds in self.stages])


@dataclass
class Sequence:
    tokens: int
    """Wanted."""
    out: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)
    made: int = 0


class SettableEngine(LLMEngine):
    def __init__(self, llm_config: Any) -> None:
        self.forget()
        self._tags = {"ReplicaId": serve.get_replica_context().replica_id.unique_id}
        keys = ("ReplicaId",)
        self._gauges = [
            Gauge(f"vllm_{name}", name, tag_keys=keys)
            for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
        ]
        self._preempted = Counter("vllm_num_preemptions_total", "Preemptions.", tag_keys=keys)
        self._stages = [StageMeter(0), StageMeter(1)]

    def forget(self) -> None:
        """Nothing is asked."""
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._asked = asyncio.Event()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            settings = Settings.read().of(self._tags["ReplicaId"])
            self._admit(settings)
            self._show(settings)
            if not self._running:
                self._asked.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), IDLE_SECONDS)
                continue
            batches = min(len(settings.stages), len(self._running))
            alone = sum(settings.stages) + settings.hop * len(settings.stages)
            await asyncio.sleep(max(alone, batches * max(settings.stages)))
            self._count(settings, batches)
            for sequence in list(self._running):
                sequence.made += 1
                sequence.out.put_nowait("x" * settings.text)
                if sequence.made >= sequence.tokens:
                    self._running.remove(sequence)
                    sequence.out.put_nowait(None)

    def _count(self, settings: Settings, batches: int) -> None:
        for meter, seconds in zip(self._stages, settings.stages, strict=True):
            for _ in range(batches):
                meter.step(DECODE)
                meter.worked(DECODE, seconds)

    def _admit(self, settings: Settings) -> None:
        while len(self._running) > 1 and self._held() > settings.cache_tokens:
            self._waiting.insert(0, self._running.pop())
            self._preempted.inc(1, tags=self._tags)
        while self._waiting and len(self._running) < settings.slots:
            if self._running and self._held() + self._waiting[0].made + 16 > settings.cache_tokens:
                break
            self._running.append(self._waiting.pop(0))

    def _held(self) -> int:
        return sum(16 + sequence.made for sequence in self._running)

    def _show(self, settings: Settings) -> None:
        usage = min(1.0, self._held() / settings.cache_tokens)
        for gauge, value in zip(self._gauges, (len(self._running), len(self._waiting), usage), strict=True):
            gauge.set(value, tags=self._tags)

    async def chat(self, request: Any, raw_request_info: Any = None) -> AsyncGenerator[Any, None]:
        sequence = Sequence(request.max_tokens or 16)
        self._waiting.append(sequence)
        self._asked.set()
        try:
            while (text := await sequence.out.get()) is not None:
                yield f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n"
            yield "data: [DONE]\n\n"
        finally:
            for where in (self._waiting, self._running):
                if sequence in where:
                    where.remove(sequence)

    async def completions(self, request: Any, raw_request_info: Any = None) -> AsyncGenerator[Any, None]:
        async for piece in self.chat(request, raw_request_info):
            yield piece

    async def check_health(self) -> None:
        if self._task.done():
            raise RuntimeError("the settable engine ended") from self._task.exception()

    def routing_stats(self) -> dict[str, Any]:
        return {}

    async def resolve_lora(self, lora_model: Any) -> None:
        raise NotImplementedError

    async def embeddings(self, request: Any, raw_request_info: Any = None) -> Any:
        raise NotImplementedError

    async def transcriptions(self, request: Any, raw_request_info: Any = None) -> Any:
        raise NotImplementedError

    async def reset_prefix_cache(self) -> None:
        return None
