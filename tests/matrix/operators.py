"""Operator processes that can be killed and started within a moment.

``rayspan.main.run``, with all that it imports, forked from a process that has it imported already: hundreds of starts
would otherwise mostly be imports. In the child Ray's dashboard and metrics are at a port of the matrix's own.
"""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest import mock

from rayspan.main import run
from rayspan.render import names
from rayspan.settings import Settings

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


@dataclass
class Operator:
    """One operator, and those that follow on it."""

    settings: Settings
    ray_ports: tuple[int, int]
    """Of its dashboard, and of its metrics, which nobody serves."""
    log: Path
    starts: int = 0
    _process: ForkServerProcess | None = field(default=None)

    def start(self) -> None:
        """Start it."""
        self._process = _CONTEXT.Process(
            target=_run, args=(self.settings, self.ray_ports, self.log), daemon=True
        )
        self._process.start()
        self.starts += 1

    def kill(self) -> None:
        """Kill it, now."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
            self._process = None


def _run(settings: Settings, ray_ports: tuple[int, int], log: Path) -> None:
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    dashboard, metrics = ray_ports
    with mock.patch.multiple(names, DASHBOARD_PORT=dashboard, METRICS_PORT=metrics):
        run(settings)
