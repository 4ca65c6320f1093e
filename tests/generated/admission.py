"""What the API server says to generated objects with no operator anywhere, held against what it has to say."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.api.direct import LLM, Direct, No
from tests.generated.documents import Spec
from tests.generated.mutants import COMPLETE, NAMES, Mutant, mutants, mutated
from tests.generated.rules import broken

Tick = Callable[[], object]

_OWNED = re.compile(r"(spec\.engine\.(args|env))\.\w+ is set by Rayspan")


@dataclass
class Judged:
    """The API server's answers."""

    taken: list[Spec] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    """Of generated ones, by what was to be said of them."""
    mutants: Counter[str] = field(default_factory=Counter)
    """Refused, by what was done to them."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are not as they have to be."""


def llm_deployment(namespace: str, name: str, spec: Spec) -> dict[str, Any]:
    """The object."""
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


async def judge(api: Direct, specs: Sequence[Spec], count: int, tick: Tick = lambda: None) -> Judged:
    """Send all specs, and so many mutants of those that are taken. Nothing is stored."""
    judged = Judged()

    async def one(spec: Spec) -> None:
        expected, said = broken(spec), await refusal(api, "a", spec)
        tick()
        if said is None and not expected:
            judged.taken.append(spec)
        elif said is None or not expected or any(words not in said for words in expected):
            judged.wrong.append(f"{spec}: expected {expected or 'to be taken'}, was told {said}")
        else:
            judged.refused.update(_OWNED.sub(r"\1 of Rayspan's own", words) for words in expected)

    await asyncio.gather(*(one(spec) for spec in specs))
    judged.taken.sort(key=repr)  # they came back in any order
    kinds = mutants()

    async def mutant(number: int, kind: Mutant) -> None:
        base = judged.taken[number % len(judged.taken)] if number >= len(kinds) else COMPLETE
        _note(judged, kind.what, kind.words, await refusal(api, "a", mutated(base, kind)))
        tick()

    async def name(each: str, words: str) -> None:
        _note(judged, "a bad name", words, await refusal(api, each, COMPLETE))
        tick()

    if judged.taken:
        await asyncio.gather(
            *(mutant(number, kinds[number % len(kinds)]) for number in range(count)),
            *(name(each, words) for each, words in NAMES),
        )
    return judged


def _note(judged: Judged, what: str, words: str, said: str | None) -> None:
    if said is None or words not in said:
        judged.wrong.append(f"{what}: to be told {words!r}, was told {said!r}")
    else:
        judged.mutants[what] += 1


async def refusal(api: Direct, name: str, spec: Spec) -> str | None:
    """What a dry run is refused with; None: it would be taken."""
    try:
        await api.create(LLM, "default", llm_deployment("default", name, spec), dryRun="All")
    except No as error:
        return error.message
    return None
