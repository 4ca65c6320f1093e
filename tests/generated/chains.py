"""Chains of edits of one LLMDeployment, as owners, autoscalers and people with kubectl make them, some at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.api.direct import LLM, RAY_SERVICE, Direct, No, place
from tests.generated.admission import llm_deployment
from tests.generated.documents import Spec
from tests.generated.mutants import Mutant, mutated

EDITS = 6
"""At most, in a chain."""
PAUSE_SECONDS = 2.5
"""At most, between two edits; half of them follow each other at once."""


@dataclass
class Chains:
    """What chains are made from, and what was done so far."""

    api: Direct
    namespace: str
    specs: Sequence[Spec]
    mutants: Sequence[Mutant]
    made: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    async def run(self, name: str, number: int) -> None:
        """One chain, the same for the same number."""
        chance = random.Random(number)
        await self._create(name, chance.choice(self.specs))
        for _ in range(chance.randint(2, EDITS)):
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * PAUSE_SECONDS)
            edit = chance.choice(_EDITS)
            self.made[(edit.__doc__ or "").rstrip(".")] += 1
            await edit(self, name, chance)

    async def _create(self, name: str, spec: Spec) -> None:
        await self.api.create(LLM, self.namespace, llm_deployment(self.namespace, name, spec))

    async def _replace(self, name: str, spec: Spec, part: str = "") -> None:
        """The spec, or a part of it."""
        operation = {"op": "add", "path": f"/spec{part}", "value": spec}
        path, what = place(LLM, self.namespace, name), "application/json-patch+json"
        await self.api.ask("PATCH", path, [operation], what, fieldValidation="Strict")

    async def another_spec(self, name: str, chance: random.Random) -> None:
        """Another spec altogether."""
        await self._replace(name, chance.choice(self.specs))

    async def one_part(self, name: str, chance: random.Random) -> None:
        """One part of another spec."""
        other = chance.choice(self.specs)
        part = chance.choice(sorted(other))
        try:
            await self._replace(name, other[part], f"/{part}")
        except No as error:
            # Good in its own place, it may contradict what stands beside it.
            if error.status != 422:
                raise

    async def scaled(self, name: str, chance: random.Random) -> None:
        """kubectl scale."""
        change = {"spec": {"replicas": chance.choice([0, 0, 1, 2, 1000])}}
        await self.api.patch(LLM, self.namespace, f"{name}/scale", change)

    async def bad(self, name: str, chance: random.Random) -> None:
        """An edit that is refused."""
        mutant = chance.choice(self.mutants)
        try:
            await self._replace(name, mutated(chance.choice(self.specs), mutant))
        except No as error:
            if mutant.words not in error.message:
                self.wrong.append(f"{mutant.what}: to be told {mutant.words!r}, was told {error.message!r}")
        else:
            self.wrong.append(f"{mutant.what}: was taken as an edit ({mutant.words})")

    async def labelled(self, name: str, chance: random.Random) -> None:
        """A label, which is no change of the spec."""
        change = {"metadata": {"labels": {"note": str(chance.random())}}}
        await self.api.patch(LLM, self.namespace, name, change)

    async def again(self, name: str, chance: random.Random) -> None:
        """Deleted and made again."""
        await self.api.delete(LLM, self.namespace, name)
        await self._create(name, chance.choice(self.specs))

    async def status_lost(self, name: str, chance: random.Random) -> None:
        """The status removed by hand."""
        await self.api.patch(LLM, self.namespace, f"{name}/status", {"status": None})

    async def service_deleted(self, name: str, chance: random.Random) -> None:
        """The RayService deleted by hand."""
        await self.api.delete(RAY_SERVICE, self.namespace, name)

    async def service_edited(self, name: str, chance: random.Random) -> None:
        """The RayService edited by hand."""
        change = {"spec": {"excludeHeadPodFromServeSvc": False}, "metadata": {"annotations": None}}
        try:
            await self.api.patch(RAY_SERVICE, self.namespace, name, change)
        except No as error:
            if error.status != 404:
                raise


_EDITS = (
    Chains.another_spec, Chains.another_spec, Chains.one_part, Chains.one_part, Chains.scaled, Chains.bad,
    Chains.labelled, Chains.again, Chains.status_lost, Chains.service_deleted, Chains.service_edited,
)  # fmt: skip
