"""What is told in the end, and the nodes that there are."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tests.generated.admission import Judged
from tests.generated.handling import Handled


class Steps:
    """Progress: a line each twentieth of it, with the seconds since it began."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._told = what, total, 0, 0
        self._began = time.monotonic()

    def __call__(self, more: int = 1) -> None:
        """So many more are done."""
        self._done += more
        if self._total and (twentieth := self._done * 20 // self._total) > self._told:
            self._told = twentieth
            took = time.monotonic() - self._began
            print(f"{self._what}: {self._done} of {self._total}, {took:.0f} s", file=sys.stderr, flush=True)


def tracebacks(log: str) -> int:
    """How many the operator wrote."""
    return len(re.findall(r"^Traceback", log, re.MULTILINE))


def tell(judged: Judged, handled: Handled, chained: Handled, log: str) -> None:
    """The table."""
    table = Table("what", "count", box=SIMPLE)

    def rows(title: str, counted: Counter[str], most: int | None = None) -> None:
        table.add_section()
        table.add_row(f"[bold]{title}", str(counted.total()))
        for what, number in counted.most_common(most):
            table.add_row(f"  {' '.join(what.split())[:160]}", str(number))

    rows("generated and taken by the API server, by how the operator ended", handled.outcomes)
    rows("generated and refused by the API server, by the rules broken", judged.refused)
    rows("mutants refused by the API server, by what was done", judged.mutants)
    rows("chains of edits, by how they ended", chained.outcomes)
    rows("edits in them", chained.edits)
    rows("refusals of rendered objects, in the API server's words", handled.late + chained.late, 12)
    table.add_section()
    for title, found in (
        ("answers of the API server that are wrong", judged.wrong + chained.wrong),
        ("stuck", handled.stuck + chained.stuck),
    ):
        table.add_row(f"[bold]{title}", str(len(found)))
    table.add_row("[bold]tracebacks", str(tracebacks(log)))
    Console(width=170).print(table)
    for line in [*judged.wrong[:10], *chained.wrong[:10], *handled.stuck[:10], *chained.stuck[:10]]:
        print(line[:1500])
