"""When a pass decides anew, and when what was decided before does: nothing is read where nothing can have changed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rayspan import reconcile
from rayspan.api.v1alpha1 import LLMDeployment, Status
from rayspan.cluster.memory import Memories
from rayspan.cluster.observe import Belongings
from rayspan.decide import Decided
from rayspan.plan.types import Plan
from rayspan.reconcile import Reconcile
from rayspan.report.input import Input
from rayspan.report.observed import RayClusterView, Unknown, WorkerGroupView
from rayspan.settings import Settings

KEY = ("ns", "tiny")
DEPLOYMENT = LLMDeployment.model_validate(
    {"metadata": {"name": "tiny", "namespace": "ns", "uid": "1"}, "spec": {"model": {"id": "tiny"}}}
)
CLUSTER = RayClusterView("tiny-1", (WorkerGroupView("stage-0", 1, (), 1, 1),))
CARRIED_OUT = Decided(
    at=0.0,
    deployment=DEPLOYMENT,
    said=Plan(1, (), "nvidia.com/gpu"),
    model=None,
    running=None,
    applied=Plan(1, (), "nvidia.com/gpu"),
    revision="revision",
    refusal=None,
    api=Belongings(None, CLUSTER, (), None, None),
)
CLUSTERS: dict[str, tuple[Any, bool]] = {
    "all pods that are wanted": (CLUSTER, True),
    "pods that are to go when Serve needs them no more": (
        RayClusterView("tiny-1", (WorkerGroupView("stage-0", 2, (), 2, 2),)),
        False,
    ),
    "bounds that someone edited": (
        RayClusterView("tiny-1", (WorkerGroupView("stage-0", 1, (), 1, 9),)),
        False,
    ),
    "what could not be read": (Unknown("no answer"), False),
}


@pytest.mark.parametrize("case", CLUSTERS)
def test_holding_with(case: str) -> None:
    cluster, holds = CLUSTERS[case]
    decided = replace(CARRIED_OUT, api=replace(CARRIED_OUT.api, cluster=cluster))
    assert decided.holds(299, 300) is holds
    assert not decided.holds(300, 300)
    assert not decided.holds(-1, 300), "the clock was put back"


class Flow:
    """A flow whose first half and whose writing are stood in for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, written: bool = False) -> None:
        self.now, self.decisions, self.fails, self.phase = 0.0, 0, False, "Ready"
        self.hangs = self.broken_off = False
        self.told: list[Status] = []
        self.applied = CARRIED_OUT.applied
        looks = SimpleNamespace(
            clock=lambda: self.now, settings=Settings(), client=None, observe=self._observe
        )
        monkeypatch.setattr(reconcile, "status", self._status)
        monkeypatch.setattr(reconcile, "write_status", self._write)
        telemetry = SimpleNamespace(told=lambda *_: None)
        self.written = written
        memories = Memories(300.0)
        memories.of(KEY, "1").secret_wanted = False
        self.flow = Reconcile(
            cast(Any, self._decide),
            cast(Any, looks),
            cast(Any, SimpleNamespace(seen=self._seen)),
            memories,
            cast(Any, None),
            cast(Any, telemetry),
        )

    def pass_(self, news: bool) -> None:
        """One pass."""
        asyncio.run(cast(Any, self.flow(KEY, news, asyncio.Event())))

    async def _decide(self, key: tuple[str, str]) -> Decided:
        self.decisions += 1
        return replace(CARRIED_OUT, at=self.now, applied=self.applied)

    async def _seen(self, *_: Any) -> Any:
        return ()

    async def _observe(self, *_: Any) -> Any:
        if self.fails:
            raise ZeroDivisionError
        try:
            await asyncio.sleep(1000 * self.hangs)
        except asyncio.CancelledError:
            self.broken_off = True
            raise
        return SimpleNamespace(
            ray_service=None, port=None, pods=(), serve=None, ray_cluster=None, pending_cluster=None
        )

    def _status(self, given: Input) -> Status:
        self.told.append(given.deployment.status)
        return Status(phase=self.phase)

    async def _write(self, *_: Any) -> bool:
        return self.written


def test_without_news_nothing_is_decided_until_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(monkeypatch)
    for news, now, decisions in (
        (True, 0, 1),
        (False, 12, 1),
        (False, 299, 1),
        (False, 300, 2),
        (False, 301, 2),
        (True, 302, 3),
    ):
        flow.now = now
        flow.pass_(news)
        assert flow.decisions == decisions, now


async def test_an_edit_breaks_off_a_look_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    flow, edited = Flow(monkeypatch), asyncio.Event()
    flow.hangs = True
    asyncio.get_running_loop().call_later(0.01, edited.set)
    assert await flow.flow(KEY, False, edited) == 0.0, "looked again at once"
    assert flow.broken_off, "no request is left behind"
    assert not flow.told, "nothing is told of half a look"


def test_while_it_is_not_ready_all_is_read_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(monkeypatch)
    flow.phase = "Recovering"
    for now, decisions in ((0, 1), (19, 1), (20, 2), (39, 2), (40, 3)):
        flow.now = now
        flow.pass_(False)
        assert flow.decisions == decisions, now


def test_what_was_refused_or_waits_for_its_secret_is_decided_at_every_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = Flow(monkeypatch)
    flow.applied = None
    flow.pass_(False)
    flow.pass_(False)
    assert flow.decisions == 2
    flow.applied = CARRIED_OUT.applied
    flow.flow.memories.of(KEY, "1").secret_wanted = True
    flow.pass_(False)
    flow.pass_(False)
    assert flow.decisions == 4


def test_after_a_pass_that_failed_all_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = Flow(monkeypatch)
    flow.pass_(True)
    flow.fails = True
    with pytest.raises(ZeroDivisionError):
        flow.pass_(True)
    flow.fails = False
    flow.pass_(False)
    assert flow.decisions == 3


def test_a_status_that_was_written_is_what_the_next_look_compares_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = Flow(monkeypatch, written=True)
    flow.pass_(True)
    flow.pass_(False)
    assert [one.phase for one in flow.told] == [None, "Ready"]
