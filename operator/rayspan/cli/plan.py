"""Show how a model would be cut and what each stage would hold, before a GPU is taken.

The same function answers that the operator calls. What is not given in files is read from the cluster: its nodes,
with the GPUs that other pods hold, and the model's sizes from an LLMDeployment that was already inspected. Exit code
0: it fits; 2: it does not, and the sentence says what would.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, Any

from rayspan.cli import given
from rayspan.cli.connection import ask, current_namespace
from rayspan.cli.errors import WrongInput
from rayspan.cli.screen import show

if TYPE_CHECKING:
    from rayspan.api.v1alpha1 import LLMDeployment
    from rayspan.cluster.client import Client
    from rayspan.plan.facts import ModelFacts, NodeFacts
    from rayspan.plan.types import Answer

FITS, DOES_NOT = 0, 2


def arguments(parser: argparse.ArgumentParser) -> None:
    """The file, what stands in for the cluster, and how to show it."""
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="the manifest; - is stdin")
    given.arguments(parser)
    parser.add_argument(
        "-n", "--namespace", help="default: the manifest's, else the kubeconfig's current one"
    )
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: as kubectl finds it")
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table")


def execute(options: argparse.Namespace) -> int:
    """Plan every LLMDeployment of the file and show it."""
    from rayspan.cli.manifest import read_deployments
    from rayspan.plan.types import Plan

    answers = [(each, _answer(each, options)) for each in read_deployments(options.filename)]
    if options.output == "table":
        from rich.console import Group

        from rayspan.cli.plan_view import view

        show(Group(*(view(deployment, answer) for deployment, answer in answers)), columns=140)
    else:
        from rayspan.cli.documents import write

        write([_document(deployment, answer) for deployment, answer in answers], options.output)
    return FITS if all(isinstance(answer, Plan) for _, answer in answers) else DOES_NOT


def _document(deployment: LLMDeployment, answer: Answer) -> dict[str, Any]:
    from rayspan.plan.types import Plan
    from rayspan.report.plan import plan_status

    name = deployment.metadata.name
    if not isinstance(answer, Plan):
        return {"name": name, "fits": False, "message": answer.message}
    status = plan_status(answer, deployment.spec.replicas).model_dump(by_alias=True, exclude_none=True)
    for shown, stage in zip(status.get("stages", ()), answer.stages, strict=False):
        shown["nodes"] = list(stage.nodes)
    return {"name": name, "fits": True, "plan": status}


def _answer(deployment: LLMDeployment, options: argparse.Namespace) -> Answer:
    from rayspan.plan.plan import plan

    model = given.model(deployment.spec, options)
    nodes = given.nodes(options.nodes) if options.nodes else None
    if nodes is None:
        known, nodes = asyncio.run(_from_cluster(deployment, options))
        model = known if known and (model is None or model.weights is None) else model
    if model is None:
        raise WrongInput(
            f"nothing is known of the model of {deployment.metadata.name}: give its config.json with --model-config, "
            "or apply the manifest once, and Rayspan reads it where the pods will"
        )
    return plan(deployment.spec, model, nodes, None)


async def _from_cluster(
    deployment: LLMDeployment, options: argparse.Namespace
) -> tuple[ModelFacts | None, list[NodeFacts]]:
    """What the cluster knows of the model, and its nodes."""
    namespace = options.namespace or (
        deployment.metadata.namespace
        if deployment.metadata.namespace != "default"
        else current_namespace(options.kubeconfig)
    )

    async def question(client: Client) -> tuple[ModelFacts | None, list[NodeFacts]]:
        return await _inspected(client, deployment, namespace), await _nodes(client, deployment, namespace)

    return await ask(options.kubeconfig, question)


async def _inspected(client: Client, deployment: LLMDeployment, namespace: str) -> ModelFacts | None:
    """Facts from an LLMDeployment of the namespace with the same model."""
    from rayspan.cluster.kinds import LLM_DEPLOYMENT
    from rayspan.cluster.stored import stored
    from rayspan.plan.model_facts import recalled

    wanted = deployment.spec.model
    for document in await client.find(LLM_DEPLOYMENT, namespace):
        other, _ = stored(document)
        model = other.spec.model
        same = (model.id, model.source, model.revision) == (wanted.id, wanted.source, wanted.revision)
        if same and other.status.model:
            return recalled(other.status.model)
    return None


async def _nodes(client: Client, deployment: LLMDeployment, namespace: str) -> list[NodeFacts]:
    import time

    from rayspan.cluster.nodes import Nodes
    from rayspan.errors import RayspanError
    from rayspan.report.observed import Unknown

    found = await Nodes(client, time.monotonic).read(namespace, deployment.metadata.name)
    if isinstance(found, Unknown):
        raise RayspanError(found.because)
    return list(found)
