"""Show where each stage of an LLMDeployment runs, and how slow it is."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from rayspan.cli.connection import llm_deployment, which
from rayspan.cli.screen import show

Document = dict[str, Any]

_INTERVAL_SECONDS = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which one, and how to show it."""
    which(parser)
    parser.add_argument("-o", "--output", choices=("tree", "json", "yaml"), default="tree")
    parser.add_argument("-w", "--watch", action="store_true", help="show it again whenever it changes")


def execute(options: argparse.Namespace) -> int:
    """Read and show, once or until interrupted."""
    shown: Document | None = None
    while True:
        document = asyncio.run(llm_deployment(options))
        if document != shown:
            _show(document, options.output)
            shown = document
        if not options.watch:
            return 0
        time.sleep(_INTERVAL_SECONDS)


def _show(document: Document, output: str) -> None:
    if output == "tree":
        from rayspan.cli.status_view import view

        show(view(document), columns=160)
    else:
        from rayspan.cli.documents import write

        write([document], output)
