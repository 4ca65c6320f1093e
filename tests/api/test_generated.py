"""Some of what `make generated` does by the thousand: generated objects, bad ones, and chains of edits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.api.conftest import Operator, node
from tests.api.direct import NODE, direct
from tests.api.kubelet import inspections_answered
from tests.generated.admission import judge
from tests.generated.documents import NODES, Spec, generate
from tests.generated.handling import chains, handle
from tests.generated.mutants import mutants
from tests.generated.report import tracebacks

SEED = 7


@pytest.fixture(scope="module")
def specs() -> list[Spec]:
    """Generated from the CRD's schema."""
    return generate(100, SEED)


def test_the_api_server_alone_refuses_what_is_bad_and_nothing_else(server: None, specs: list[Spec]) -> None:
    async def ask() -> None:
        async with direct(Path(os.environ["KUBECONFIG"])) as api:
            judged = await judge(api, specs, len(mutants()))
        assert judged.wrong == []
        assert judged.mutants.total() > 400
        assert len(judged.taken) > 20

    asyncio.run(ask())


def test_whatever_is_taken_and_edited_comes_to_its_end(
    namespace: str, operator: Operator, specs: list[Spec]
) -> None:
    async def work() -> None:
        async with direct(Path(os.environ["KUBECONFIG"])) as api, inspections_answered(api):
            for name in NODES[1:]:
                await api.create(NODE, "", node(name, pods=1000))
            try:
                taken = (await judge(api, specs, 0)).taken
                handled = await handle(api, namespace, taken[:25], lambda done: None)
                chained = await chains(api, namespace, taken, range(10), operator, lambda done: None)
            finally:
                for name in NODES[1:]:
                    await api.delete(NODE, "", name)
        assert handled.stuck + chained.stuck + chained.wrong == []
        assert (handled.count, chained.count) == (min(25, len(taken)), 10)

    asyncio.run(work())
    assert tracebacks(operator.log.read_text()) == 0
