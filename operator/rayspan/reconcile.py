"""The flow for one LLMDeployment, once: decide (read, plan, render, apply), observe, report.

Level-triggered: it looks afresh, does what is missing, says when to look again. What is refused changes nothing.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Final

from rayspan.cluster import rollout
from rayspan.cluster.memory import Memories, Memory
from rayspan.cluster.nodes import Nodes
from rayspan.cluster.observe import Observer
from rayspan.cluster.status import write_status
from rayspan.decide import Decide, Decided
from rayspan.plan.facts import NodeFacts
from rayspan.plan.types import Invalid
from rayspan.racing import raced
from rayspan.render import names
from rayspan.report import input as report
from rayspan.report.observed import Known, Observed
from rayspan.report.status import status
from rayspan.telemetry import Telemetry

DECISIONS_AT_ONCE: Final = 8
"""Each holds what it read and rendered, some 0.5 MB, and one core has no use for more."""


@dataclass(frozen=True)
class Reconcile:
    """The flow, with its ways to look, to tell and to remember."""

    decide: Decide
    observer: Observer
    nodes: Nodes
    memories: Memories
    report_settings: report.Settings
    telemetry: Telemetry
    _decided: dict[tuple[str, str], bytes] = field(default_factory=dict)
    """Pickled: objects that rest between two looks take ten times the memory, and the garbage collector's time."""
    _deciding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DECISIONS_AT_ONCE))

    async def __call__(self, key: tuple[str, str], news: bool, edited: asyncio.Event) -> float | None:
        """One pass; seconds until the next look, None when there is no such object any more.

        Without news, what was decided and carried out does, as long as it holds. What Ray and the engines say is not waited
        for when there is an edit: one that hangs takes a while, and may be what the edit is to mend.
        """
        clock = self.observer.clock
        kept = self._decided.pop(key, None)
        last: Decided | None = pickle.loads(kept) if kept and not news else None
        holds = last is not None and last.holds(clock(), self._seconds(key, last))
        decided = last if holds else await self._decide(key)
        if decided is None:
            self.memories.forget(key)
            return None
        deployment, memory = decided.deployment, self.memories.of(key, decided.deployment.metadata.uid)
        if not (holds and memory.settled):
            memory.serve = None
        observed = await _unless(edited, self.observer.observe(deployment, memory, decided.api))
        if observed is None:
            return 0.0
        memory.secret_wanted |= rollout.lacks_secret(observed)
        if decided.applied:
            await rollout.scale(self.observer.client, deployment, decided.applied, observed)
        new = status(self._input(decided, observed, await self.nodes.seen(*key)))
        written = await write_status(
            self.observer.client, deployment, new, memory, self.report_settings, clock()
        )
        self.telemetry.told(key, new, written)
        memory.settle(new, clock())
        if decided.applied:
            self._decided[key] = pickle.dumps(decided.told(new) if written else decided)
        return self._pause(decided.said, memory)

    async def _decide(self, key: tuple[str, str]) -> Decided | None:
        async with self._deciding:
            return await self.decide(key)

    def _seconds(self, key: tuple[str, str], last: Decided) -> float:
        """How long what was decided may do."""
        settings, memory = self.observer.settings, self.memories.of(key, last.deployment.metadata.uid)
        if memory.secret_wanted:
            return 0.0
        return settings.resync_seconds if memory.settled else settings.reread_seconds

    def _input(
        self, decided: Decided, observed: Observed, nodes: Known[tuple[NodeFacts, ...]]
    ) -> report.Input:
        deployment = decided.deployment
        return report.Input(
            deployment=deployment,
            answer=decided.said,
            observed=observed,
            nodes=nodes,
            revision=decided.revision,
            last_good=None if observed.ray_service is None else decided.running,
            apply_error=decided.refusal,
            model=decided.model or deployment.status.model,
            url=names.url(deployment, observed.port),
            selector=names.selector(deployment.metadata.name),
            service=names.serve_service(deployment.metadata.name),
            settings=self.report_settings,
        )

    def _pause(self, said: object, memory: Memory) -> float:
        settings = self.observer.settings
        if memory.settled or isinstance(said, Invalid | report.Refused):
            return settings.calm_seconds
        waiting = self.observer.clock() - memory.changed_at
        return min(settings.calm_seconds, max(settings.fast_seconds, waiting / settings.patience))


async def _unless(happened: asyncio.Event, looking: Coroutine[None, None, Observed]) -> Observed | None:
    """What a look sees; None: it was broken off."""
    async with raced(looking, happened.wait()) as (look, _):
        return look.result() if look.done() else None
