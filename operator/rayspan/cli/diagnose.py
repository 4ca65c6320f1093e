"""Say what limits an LLMDeployment or why it does not serve, with the evidence and what to do next."""

from __future__ import annotations

import argparse
import asyncio

from rayspan.cli.connection import llm_deployment, which
from rayspan.cli.screen import show


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which one."""
    which(parser)


def execute(options: argparse.Namespace) -> int:
    """Read and show it."""
    document = asyncio.run(llm_deployment(options))
    from rayspan.cli.status_view import diagnosis_view

    show(diagnosis_view(document), columns=160)
    return 0
