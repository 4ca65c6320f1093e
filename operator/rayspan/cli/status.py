"""Show where each stage of an LLMDeployment runs, and how slow it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

from rayspan.cli.connection import ask, current_namespace
from rayspan.cli.errors import Failure
from rayspan.cli.screen import show

Document = dict[str, Any]

_INTERVAL_SECONDS = 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which one, and how to show it."""
    parser.add_argument("name", metavar="NAME", help="the LLMDeployment")
    parser.add_argument("-n", "--namespace", help="default: the kubeconfig's current one")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl finds it")
    parser.add_argument("-o", "--output", choices=("tree", "json", "yaml"), default="tree")
    parser.add_argument("-w", "--watch", action="store_true", help="show it again whenever it changes")


def execute(options: argparse.Namespace) -> int:
    """Read and show, once or until interrupted."""
    shown: Document | None = None
    while True:
        document = asyncio.run(_read(options))
        if document != shown:
            _show(document, options.output)
            shown = document
        if not options.watch:
            return 0
        time.sleep(_INTERVAL_SECONDS)


def _show(document: Document, output: str) -> None:
    if output == "json":
        print(json.dumps(document, indent=2), flush=True)
    elif output == "yaml":
        from rayspan.cli.documents import to_yaml

        print(to_yaml([document]), end="", flush=True)
    else:
        from rayspan.cli.status_view import view

        show(view(document), columns=160)


async def _read(options: argparse.Namespace) -> Document:
    from rayspan.cluster.kinds import LLM_DEPLOYMENT

    name, namespace = options.name, options.namespace or current_namespace(options.kubeconfig)
    document = await ask(options.kubeconfig, lambda client: client.get(LLM_DEPLOYMENT, namespace, name))
    if document is None:
        raise Failure(
            f"there is no LLMDeployment {name!r} in namespace {namespace!r}: see `kubectl get llm -A`"
        )
    document["metadata"].pop("managedFields", None)
    return document
