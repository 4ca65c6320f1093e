"""The head goes last: it waits for the nodes that leave with it, and for nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from rayspan_serving.drain_head import addresses, wait

Seen = dict[float, bool]
ENDS: dict[str, tuple[Seen, float, str]] = {
    "the head alone is deleted": ({0: False}, 5.0, "no other node is leaving"),
    "a node announces itself seconds later": (
        {0: False, 4: True, 6: False},
        6.5,
        "no other node is leaving",
    ),
    "all leave, and are gone after six seconds": ({0: True, 6: False}, 6.5, "no other node is leaving"),
    "one look that finds nobody is not believed": (
        {0: True, 4: False, 4.5: True, 8: False},
        8.5,
        "no other node is leaving",
    ),
    "one does not come to its end": ({0: True}, 30, "its time is over"),
}


@dataclass
class Clock:
    at: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.mark.parametrize("case", ENDS)
def test_the_head_ends(case: str) -> None:
    seen, ends_at, why = ENDS[case]
    clock = Clock()

    def others_leave() -> bool:
        return seen[max(at for at in seen if at <= clock.at)]

    assert wait(others_leave, 30, lambda: clock.at, clock.sleep) == why
    assert clock.at == ends_at


@dataclass(frozen=True)
class NodeID:
    name: str

    def hex(self) -> str:
        return self.name


@dataclass(frozen=True)
class Info:
    node_manager_address: str
    node_manager_port: int = 7000


def test_only_the_other_draining_nodes_are_asked() -> None:
    nodes = {NodeID(name): Info(f"10.0.0.{at}") for at, name in enumerate(("head", "stays", "goes", "went"))}
    draining = {"head": 0, "goes": 1, "went": 1, "unknown": 1}
    assert list(addresses("head", draining, nodes)) == ["10.0.0.2:7000", "10.0.0.3:7000"]
