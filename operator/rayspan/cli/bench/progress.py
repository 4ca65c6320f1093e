"""How far a benchmark is, on standard error: a bar where someone looks on, else a line per step."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from rayspan.cli.bench.record import Level
from rayspan.cli.bench.view import percentiles


class Bar:
    """A context; the bar is gone when it ends, the levels' lines stay."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self._levels = levels
        self._console = Console(stderr=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("", total=None)
        self._shown = ""

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def phase(self, words: str) -> None:
        """What it waits for."""
        if words != self._shown and not self._console.is_terminal:
            self._console.print(words, markup=False, soft_wrap=True)
        self._shown = words
        self._bar.update(self._task, description=_plain(words), total=None)

    def progress(self, told: dict[str, Any]) -> None:
        """How far a level is."""
        done, of, failed = told["done"], told["of"], told["failed"]
        words = f"{self._place(told['concurrency'])}: {done} of at most {of} requests"
        words += f", {failed} failed" if failed else ""
        self._bar.update(self._task, description=words, total=of, completed=done)

    def level(self, level: Level) -> None:
        """A level is done."""
        words = f"{self._place(level.concurrency)}: {level.requests} answered, {level.failed} failed in {level.seconds:.0f} s"
        words += (
            f", {level.output_tokens_per_second:.4g} tokens/s, end to end {percentiles(level.end_to_end)}"
        )
        self._console.print(words, markup=False, soft_wrap=True)
        self._bar.update(self._task, description="next level", total=None, completed=0)

    def _place(self, concurrency: int) -> str:
        number = self._levels.index(concurrency) + 1 if concurrency in self._levels else 0
        return f"level {number} of {len(self._levels)}, {concurrency} at a time"


def _plain(words: str) -> str:
    """On one line, and without what rich would take for markup."""
    return words.replace("[", "(").replace("]", ")")[:120]
