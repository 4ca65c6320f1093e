"""The operator given generated LLMDeployments and chains of edits, in rounds of so many at a time."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from tests.api.conftest import Operator
from tests.api.direct import LLM, Direct
from tests.generated.admission import llm_deployment
from tests.generated.chains import Chains
from tests.generated.documents import Spec
from tests.generated.mutants import mutants
from tests.generated.settled import settle, words

AT_ONCE = 50
"""LLMDeployments of a round."""
PATIENCE_SECONDS = 300.0
"""What a round may take until it counts as stuck: some 20 s are usual, on a machine that has time for it."""

Thing = TypeVar("Thing")
Tick = Callable[[int], object]


@dataclass
class Handled:
    """What became of them."""

    outcomes: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    """Refusals by the API server of what was rendered, in its words."""
    stuck: list[str] = field(default_factory=list)
    edits: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """All that came to an end."""
        return self.outcomes.total()


async def handle(
    api: Direct, namespace: str, specs: Sequence[Spec], tick: Tick, patience: float = PATIENCE_SECONDS
) -> Handled:
    """Have the operator bring each spec to its end."""
    handled = Handled()
    for number, some in enumerate(_rounds(specs)):
        named = {f"g{number}-{index}": spec for index, spec in enumerate(some)}
        await asyncio.gather(
            *(
                api.create(LLM, namespace, llm_deployment(namespace, name, spec))
                for name, spec in named.items()
            )
        )
        await _end(api, namespace, named, handled, patience)
        tick(len(named))
    return handled


async def chains(
    api: Direct,
    namespace: str,
    specs: Sequence[Spec],
    numbers: Sequence[int],
    operator: Operator,
    tick: Tick,
    patience: float = PATIENCE_SECONDS,
) -> Handled:
    """Have the operator follow chains of edits; it is killed and started again in the middle of every other round."""
    handled = Handled()
    kinds = [one for one in mutants() if not one.words.startswith("unknown field")]
    for number, some in enumerate(_rounds(numbers)):
        made = Chains(api, namespace, specs, kinds)
        named = {f"c{number}-{index}": each for index, each in enumerate(some)}
        running = [asyncio.create_task(made.run(name, each)) for name, each in named.items()]
        if number % 2:
            await asyncio.sleep(2)
            operator.signal(signal.SIGKILL)
            await asyncio.to_thread(operator.ended, 30)
            operator.start()
        await asyncio.gather(*running)
        handled.edits += made.made
        handled.wrong += made.wrong
        await _end(api, namespace, named, handled, patience)
        tick(len(named))
    return handled


def _rounds(things: Sequence[Thing]) -> Iterable[Sequence[Thing]]:
    return (things[first : first + AT_ONCE] for first in range(0, len(things), AT_ONCE))


async def _end(api: Direct, namespace: str, names: Iterable[str], handled: Handled, patience: float) -> None:
    """Wait until all are at their end, note it, and delete them."""
    outcomes, stuck = await settle(api, namespace, names, patience)
    handled.outcomes.update(outcomes.values())
    found = {one["metadata"]["name"]: one for one in await api.find(LLM, namespace)}
    handled.late.update(said for name in outcomes if (said := words(found[name])))
    handled.stuck += [f"{name}: {wrong}: {found.get(name, {}).get('spec')}" for name, wrong in stuck.items()]
    await api.delete(LLM, namespace)
