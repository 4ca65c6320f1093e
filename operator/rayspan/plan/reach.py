"""How many layers stages can take together, at the least and at the most: quick answers for :mod:`.split`.

Most layers of a model are alike, so a stage of a kind takes about as many wherever it begins. If stages that take the
least that they can anywhere come to the end of the chain together, there is a split: each takes some of that. If
they do not even with the most, there is none. In between only looking for one tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

Reach = Mapping[str, Sequence[int]]
"""Layers, by place and kind; 0: such a stage can be nowhere."""


def farthest(stages: int, counts: Sequence[int], reach: Reach, first: str, middle: str, last: str) -> int:
    """The most layers that so many stages take together, each ``reach`` of its place and kind, with so many stages
    of each kind; -1: there are not enough. Between the first and the last stage the kinds of farthest reach are
    best, so only those two are tried in all ways."""
    kinds = range(len(counts))
    best = -1
    for one, other in product(kinds if stages > 1 else [None], kinds):
        left = list(counts)
        total = 0
        for where, kind in ((first, one), (last, other)):
            if kind is not None:
                left[kind] -= 1
                total += reach[where][kind] if reach[where][kind] else -(10**9)
        if min(left) < 0 or total < 0:
            continue
        missing = stages - (1 if one is None else 2)
        for kind in sorted(kinds, key=lambda kind: -reach[middle][kind]):
            taken = min(missing, left[kind]) if reach[middle][kind] else 0
            total, missing = total + taken * reach[middle][kind], missing - taken
        if not missing:
            best = max(best, total)
    return best
