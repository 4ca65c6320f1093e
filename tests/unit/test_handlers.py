"""Which changes of an LLMDeployment ask for a pass."""

from __future__ import annotations

from typing import Any

import pytest
from rayspan.handlers import news
from rayspan.render.names import RESTARTED_AT

BEFORE: dict[str, Any] = {"uid": "1", "generation": 3, "resourceVersion": "7"}
READY = {"phase": "Ready"}


def event(kind: str | None = "MODIFIED", status: Any = READY, **metadata: Any) -> dict[str, Any]:
    return {"type": kind, "object": {"metadata": {**BEFORE, **metadata}, "status": status}}


CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "its spec was edited": (event(generation=4), True),
    "it was made anew under its name": (event(uid="2"), True),
    "it is going": (event(deletionTimestamp="2026-01-01T00:00:00Z"), True),
    "it is gone": (event("DELETED"), True),
    "it is to be rendered anew": (event(annotations={RESTARTED_AT: "now"}), True),
    "its status was lost": (event(status=None), True),
    "its status was written": (event(status={"phase": "Degraded"}, resourceVersion="8"), False),
    "it has a label": (event(labels={"team": "a"}), False),
    "it has another annotation": (event(annotations={"note": "a"}), False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_pass_is_asked_for_when(change: str) -> None:
    after, asks = CHANGES[change]
    assert (news(after) != news(event())) is asks
