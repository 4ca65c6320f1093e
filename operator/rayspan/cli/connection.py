"""A question to the cluster, and what goes wrong with it as a sentence."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rayspan.cli.errors import Failure

if TYPE_CHECKING:
    from rayspan.cluster.client import Client

T = TypeVar("T")

_TIMEOUT_SECONDS = 10.0


async def ask(kubeconfig: str | None, question: Callable[[Client], Awaitable[T]]) -> T:
    """The answer of the cluster that ``kubeconfig`` (None: as kubectl finds it) points at."""
    from rayspan import errors
    from rayspan.cluster.client import connect

    try:
        client = await connect(kubeconfig, _TIMEOUT_SECONDS)
        try:
            return await question(client)
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


def which(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The arguments that name one LLMDeployment."""
    parser.add_argument("name", metavar="NAME", nargs=None if required else "?", help="the LLMDeployment")
    parser.add_argument("-n", "--namespace", help="default: the kubeconfig's current one")
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl finds it")


async def llm_deployment(options: argparse.Namespace) -> dict[str, Any]:
    """The one that the arguments of :func:`which` name."""
    from rayspan.cluster.kinds import LLM_DEPLOYMENT

    name, namespace = options.name, options.namespace or current_namespace(options.kubeconfig)
    document = await ask(options.kubeconfig, lambda client: client.get(LLM_DEPLOYMENT, namespace, name))
    if document is None:
        raise Failure(
            f"there is no LLMDeployment {name!r} in namespace {namespace!r}: see `kubectl get llm -A`"
        )
    document["metadata"].pop("managedFields", None)
    return document


def current_namespace(kubeconfig: str | None) -> str:
    """The namespace of the kubeconfig's current context, as kubectl takes it."""
    from kubernetes.aio import config

    # A missing file is not worth a line here: logging in says it with what to do about it.
    logging.getLogger("kubernetes").setLevel(logging.CRITICAL)
    try:
        _, active = config.list_kube_config_contexts(config_file=kubeconfig)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(active["context"].get("namespace") or "default")
