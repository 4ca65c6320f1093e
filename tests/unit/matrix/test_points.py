"""Which points the fault matrix makes of an undisturbed run, and which requests they strike."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from tests.matrix.faults import Hands, StaleAtStart
from tests.matrix.points import Reference, points
from tests.matrix.proxy import Answer, Call, Cut


async def _nothing() -> None: ...


def _answer(text: str) -> Answer:
    return Answer(200, CIMultiDict(), text.encode())


def test_events_are_broken_of_kinds_that_there_were_events_of() -> None:
    found = points("scale 1-2-1", Reference(watched=["llmdeployments", "rayservices"]))
    assert [one.where for one in found if one.fault == "events late"] == [
        "llmdeployments",
        "rayservices",
        "*",
    ]


@pytest.mark.parametrize("options", ["", " by label", " by field"])
async def test_a_new_operator_is_told_what_was_there_whatever_it_lists_by(options: str) -> None:
    killed: list[str] = []
    fault = StaleAtStart("pods", Hands(lambda: killed.append("once"), _nothing, _nothing))
    call = Call("LIST", "pods", "/pods", options=options)
    with pytest.raises(Cut):
        await fault.before(call)
    assert await fault.before(call) is None
    assert not fault.struck.is_set(), "the operator that was killed was told nothing"
    assert await fault.after(call, _answer("now"), _answer("before")) == _answer("before")
    assert (fault.struck.is_set(), killed) == (True, ["once"])


async def test_other_kinds_are_told_as_they_are() -> None:
    fault = StaleAtStart("pods", Hands(lambda: None, _nothing, _nothing))
    for call in (Call("LIST", "rayservices", "/rayservices"), Call("GET", "pods", "/pods/a")):
        assert await fault.after(call, _answer("now"), _answer("before")) == _answer("now")
    assert not fault.struck.is_set()
