"""Show where each stage of an LLMDeployment runs, and how slow it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from typing import Any

from rayspan.cli.errors import Failure

Document = dict[str, Any]

_TIMEOUT_SECONDS = 10.0
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
        from rich.console import Console

        from rayspan.cli.status_view import view

        # A pipe has no width of its own, and 80 columns would cut what a person wants to find there.
        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
        Console(highlight=False, width=wide).print(view(document))


async def _read(options: argparse.Namespace) -> Document:
    from rayspan import errors
    from rayspan.cluster.client import connect
    from rayspan.cluster.kinds import LLM_DEPLOYMENT

    name, namespace = options.name, options.namespace or _current_namespace(options.kubeconfig)
    try:
        client = await connect(options.kubeconfig, _TIMEOUT_SECONDS)
        try:
            document = await client.get(LLM_DEPLOYMENT, namespace, name)
        finally:
            await client.close()
    except errors.KindMissing as error:
        raise Failure("this cluster does not know LLMDeployments: Rayspan is not installed") from error
    except errors.ApiUnavailable as error:
        raise Failure(f"the cluster does not answer: {error}") from error
    except errors.SettingsError as error:
        raise Failure(f"{error}. Give --kubeconfig or set KUBECONFIG") from error
    except errors.RayspanError as error:
        raise Failure(str(error)) from error
    if document is None:
        raise Failure(
            f"there is no LLMDeployment {name!r} in namespace {namespace!r}: see `kubectl get llm -A`"
        )
    document["metadata"].pop("managedFields", None)
    return document


def _current_namespace(kubeconfig: str | None) -> str:
    """The namespace of the kubeconfig's current context, as kubectl takes it."""
    from kubernetes.aio import config

    # A missing file is not worth a line here: logging in says it with what to do about it.
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
    try:
        _, active = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace") or "default")
