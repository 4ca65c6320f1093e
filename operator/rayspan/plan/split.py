"""The split of a chain of layers over stages on nodes of several kinds: exact, by dynamic programming.

Given are ``L`` layers, ``p`` stages, and kinds of nodes, each with a number of stages that it can hold. A stage of a
kind with the layers ``i .. j-1`` takes a time and needs room, both of which only grow when layers are added at either
end. Wanted: of all contiguous splits, on all choices of kinds, in which every stage fits, the one whose slowest stage
is fastest; of those the one with the most room for KV cache; of those the first in a fixed order.

**Is there a split with no stage over time ``T`` and none under capacity ``C``?** Let ``ends(n)`` be the set of layers
at which the first stages can end, when ``n`` counts how many of them are of each kind. It is::

    ends(0) = {0}
    ends(n) = union over kinds k with n_k > 0, and over i in ends(n - e_k), of i+1 .. furthest(k, stage, i)

where ``furthest`` is the last layer that a stage of kind ``k`` that begins at ``i`` can take. The answer is whether
``L`` is in ``ends`` of ``p`` stages. (To keep the furthest end alone would be wrong, if only just: every stage
needs a layer, and the next one may be heavier than the one before it.) The sets are bits of one number.

**The smallest ``T``** is the time of some stage, one of the ``O(K L^2)`` that there are: sorted, and halved until
one is left. **The largest ``C``** at that ``T`` in the same way.

With ``S`` the number of ways to count ``p`` stages over ``K`` kinds (``S = 1 + p`` for one kind), it takes
``O(log(K L^2) (K L log L + S K L))`` steps, each on a number of ``L`` bits. That it equals trying everything is tested on thousands of random chains.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from rayspan.plan.reach import Reach, farthest

FIRST, MIDDLE, LAST = "first", "middle", "last"


def place(stage: int, stages: int) -> str:
    """FIRST, MIDDLE or LAST; a single stage is LAST."""
    if stage == stages - 1:
        return LAST
    return MIDDLE if stage else FIRST


@dataclass(frozen=True)
class Segment:
    """What could be one stage."""

    kind: int
    place: str
    """FIRST, MIDDLE or LAST; a single stage is LAST, and begins at 0."""
    begin: int
    end: int


@dataclass(frozen=True)
class Problem:
    """A chain to be split.

    ``seconds`` and ``capacity`` are asked for segments alone; over segments of one place and kind, time must not fall
    and capacity not rise when a layer is added at either end. Capacity is any number that tells how much room is
    left (tokens of KV cache); a negative one says that the segment does not fit.
    """

    layers: int
    stages: int
    counts: Sequence[int]
    """How many stages each kind can hold."""
    allowed: Callable[[int, int], bool]
    """(stage, kind): whether that stage may be on it."""
    seconds: Callable[[Segment], float]
    capacity: Callable[[Segment], float]


@dataclass(frozen=True)
class Solution:
    """Layers and kind of each stage, and what they come to."""

    layers: tuple[int, ...]
    kinds: tuple[int, ...]
    seconds: float
    """Of the slowest stage."""
    capacity: float
    """Of the stage with the least."""


def solve(problem: Problem) -> Solution | None:
    """The best split; None: none fits."""
    table = _Table(problem)
    if not table.exists(inf, 0.0):
        return None
    times = sorted({time for row in table.cells for time, _ in row})
    seconds = times[bisect_left(times, True, key=lambda time: table.exists(time, 0.0))]
    rooms = sorted({room for row in table.cells for time, room in row if time <= seconds}, reverse=True)
    capacity = rooms[bisect_left(rooms, True, key=lambda room: table.exists(seconds, room))]
    found = table.search(seconds, capacity)
    assert found is not None
    return Solution(*found, seconds, capacity)


class _Table:
    """Times and rooms of all segments, asked once each; all middle stages share theirs."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.kinds = range(len(problem.counts))
        self._classes: dict[tuple[str, int], int] = {}
        """Index into cells and rows, by (place, kind)."""
        self.cells: list[list[tuple[float, float]]] = []
        self._rows: list[list[_Row]] = []
        for stage in range(problem.stages):
            for kind in self.kinds:
                self._fill(stage, kind)

    def _place(self, stage: int) -> str:
        return place(stage, self.problem.stages)

    def _fill(self, stage: int, kind: int) -> None:
        problem, where = self.problem, self._place(stage)
        if (where, kind) in self._classes or not problem.counts[kind]:
            return
        cells: list[tuple[float, float]] = []
        rows: list[_Row] = []
        begins = range(1) if stage == 0 else range(1, problem.layers)
        for begin in range(problem.layers):
            if begin not in begins:
                ends = range(0)
            elif where == LAST:
                ends = range(problem.layers, problem.layers + 1)
            else:
                ends = range(begin + 1, problem.layers)
            times: list[float] = []
            rooms: list[float] = []
            for end in ends:
                segment = Segment(kind, where, begin, end)
                if (room := problem.capacity(segment)) < 0:
                    break  # nor does any that is longer
                rooms.append(room)
                times.append(problem.seconds(segment))
            rows.append((ends, times, [-room for room in rooms]))
            cells.extend(zip(times, rooms, strict=True))
        self._classes[where, kind] = len(self.cells)
        self.cells.append(cells)
        self._rows.append(rows)

    def exists(self, seconds: float, capacity: float) -> bool:
        """Whether there is a split within both limits: the quick answers of :mod:`.reach` first."""
        problem = self.problem
        if self._alike:
            least, most = self._reaches(seconds, capacity)
            if (
                farthest(problem.stages, problem.counts, least, FIRST, MIDDLE, LAST)
                >= problem.layers
                >= problem.stages
            ):
                return True
            if farthest(problem.stages, problem.counts, most, FIRST, MIDDLE, LAST) < problem.layers:
                return False
        return self.search(seconds, capacity) is not None

    @cached_property
    def _alike(self) -> bool:
        """Whether every stage may be on the same kinds."""
        stages, allowed = range(self.problem.stages), self.problem.allowed
        return all(allowed(stage, kind) == allowed(0, kind) for stage in stages for kind in self.kinds)

    def _reaches(self, seconds: float, capacity: float) -> tuple[Reach, Reach]:
        """Layers that a stage takes within the limits: wherever it begins, and where it takes most."""
        least = {where: [0 for _ in self.kinds] for where in (FIRST, MIDDLE, LAST)}
        most = {where: [0 for _ in self.kinds] for where in (FIRST, MIDDLE, LAST)}
        layers = self.problem.layers
        for (where, kind), index in self._classes.items():
            if not self.problem.allowed(0, kind):
                continue
            within = [_within(row, seconds, capacity) for row in self._rows[index]]
            if where == LAST:
                takes = [layers - begin for begin, one in enumerate(within) if one]
                least[where][kind] = most[where][kind] = max(takes, default=0)
            elif where == FIRST:
                least[where][kind] = most[where][kind] = within[0]
            else:
                ends = [layers - 1 - begin for begin in range(layers)]  # so far it could go
                bound = [one for one, end in zip(within[1:], ends[1:], strict=True) if one < end]
                least[where][kind], most[where][kind] = min(bound, default=layers), max(within)
        return least, most

    def search(self, seconds: float, capacity: float) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """A split within both limits, as layers and kinds."""
        problem = self.problem
        spans = [_Spans(self._spans(rows, seconds, capacity)) for rows in self._rows]
        came: list[dict[tuple[int, ...], int]] = [{tuple(0 for _ in self.kinds): 1}]
        for stage in range(problem.stages):
            following: dict[tuple[int, ...], int] = {}
            for counts, begins in came[-1].items():
                for kind in self._open(stage, counts):
                    if ends := spans[self._classes[self._place(stage), kind]].union(begins):
                        used = _plus(counts, kind, 1)
                        following[used] = following.get(used, 0) | ends
            came.append(following)
        whole = [counts for counts, ends in came[-1].items() if ends >> problem.layers & 1]
        return self._back(min(whole), came, spans) if whole else None

    def _open(self, stage: int, counts: tuple[int, ...]) -> list[int]:
        problem = self.problem
        return [k for k in self.kinds if counts[k] < problem.counts[k] and problem.allowed(stage, k)]

    def _spans(self, rows: Sequence[_Row], seconds: float, capacity: float) -> list[int]:
        """For each layer the bits of the ends that a segment from there can have within the limits."""
        spans = []
        for row in rows:
            ends, longest = row[0], _within(row, seconds, capacity)
            spans.append((1 << ends[longest - 1] + 1) - (1 << ends[0]) if longest else 0)
        return spans

    def _back(
        self, counts: tuple[int, ...], came: Sequence[dict[tuple[int, ...], int]], spans: Sequence[_Spans]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """From the last layer back to the first: one way that led there."""
        layers: list[int] = []
        kinds: list[int] = []
        end = self.problem.layers
        for stage in reversed(range(self.problem.stages)):
            begin, kind = next(
                (begin, kind)
                for kind in self.kinds
                if counts[kind] and self.problem.allowed(stage, kind)
                for begin in _bits(came[stage].get(_plus(counts, kind, -1), 0))
                if spans[self._classes[self._place(stage), kind]][begin] >> end & 1
            )
            layers.append(end - begin)
            kinds.append(kind)
            counts, end = _plus(counts, kind, -1), begin
        return tuple(reversed(layers)), tuple(reversed(kinds))


_Row = tuple[Sequence[int], list[float], list[float]]
"""Of the segments from one layer, shortest first: their ends, times and lacks of room."""


def _within(row: _Row, seconds: float, capacity: float) -> int:
    """How many of the row's segments, shortest first, are within both limits."""
    return min(bisect_right(row[1], seconds), bisect_right(row[2], -capacity))


def _plus(counts: tuple[int, ...], kind: int, more: int) -> tuple[int, ...]:
    return (*counts[:kind], counts[kind] + more, *counts[kind + 1 :])


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


class _Spans:
    """Spans by where they begin, and the union of any run of them at once (by powers of two): the sets of ends are
    mostly one run of neighbours."""

    def __init__(self, spans: list[int]) -> None:
        self._unions = [spans]
        width = 1
        while width * 2 <= len(spans):
            last = self._unions[-1]
            self._unions.append([last[i] | last[i + width] for i in range(len(last) - width)])
            width *= 2

    def __getitem__(self, begin: int) -> int:
        return self._unions[0][begin]

    def union(self, begins: int) -> int:
        """Of the spans from all of ``begins``."""
        ends = 0
        while begins:
            low = begins & -begins
            first = low.bit_length() - 1
            run = (~(begins >> first) & -~(begins >> first)).bit_length() - 1
            level = run.bit_length() - 1
            unions = self._unions[level]
            ends |= unions[first] | unions[first + run - (1 << level)]
            begins &= ~(((1 << run) - 1) << first)
        return ends
