"""Layers per stage.

Evenly, the remainder going to the middle stages first: stage 0 also holds the embedding, and the last
stage the norm and the output head, so a layer more costs them most. Of the two ends the first takes a
spare layer before the last, whose head is work at every token while the embedding is a look-up.

For ``L`` layers and ``p`` stages each stage gets ``L // p``; the remainder ``r = L % p`` goes, one each,
to the stages in the order middle (from the front), first, last.
"""

from __future__ import annotations


def even_split(layers: int, stages: int) -> tuple[int, ...]:
    """Cut ``layers`` into ``stages`` contiguous parts; needs ``1 <= stages <= layers``.

    >>> even_split(80, 4), even_split(10, 4), even_split(7, 2)
    ((20, 20, 20, 20), (2, 3, 3, 2), (4, 3))
    """
    if not 1 <= stages <= layers:
        raise ValueError(f"cannot cut {layers} layers into {stages} stages")
    base, spare = divmod(layers, stages)
    order = [*range(1, stages - 1), 0, stages - 1]
    taking = set(order[:spare])
    return tuple(base + (stage in taking) for stage in range(stages))
