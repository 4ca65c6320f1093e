"""Tables and trees for people."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(view: RenderableType, columns: int) -> None:
    """Print it; ``columns`` wide where nothing tells: a pipe has no width of its own, and 80 columns would cut what a
    person wants to find there."""
    from rich.console import Console

    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(highlight=False, width=None if told else columns).print(view)
