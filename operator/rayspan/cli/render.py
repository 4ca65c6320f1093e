"""Print the objects that an LLMDeployment would become, offline.

What only the cluster knows comes from files and options: the nodes from ``--nodes`` (the output of
``kubectl get nodes -o yaml``), else the spec is trusted to fit; the model's sizes from ``--model-config``, else
the number of its layers from ``--layers`` or the stages. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rayspan.cli import given
from rayspan.cli.errors import WrongInput

if TYPE_CHECKING:
    from rayspan.api.v1alpha1 import LLMDeployment
    from rayspan.cli.documents import Document


def arguments(parser: argparse.ArgumentParser) -> None:
    """The file and what stands in for the cluster."""
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="the manifest; - is stdin")
    given.arguments(parser)
    parser.add_argument("--serving-image", metavar="IMAGE", help="the operator's default serving image")


def execute(options: argparse.Namespace) -> int:
    """Write the objects to standard output, and what is worth knowing to standard error."""
    from rayspan.cli.documents import to_yaml
    from rayspan.cli.manifest import read_deployments

    objects: list[Document] = []
    for deployment in read_deployments(options.filename):
        objects.extend(_objects(deployment, options))
    print(to_yaml(objects), end="")
    return 0


def _objects(deployment: LLMDeployment, options: argparse.Namespace) -> Sequence[Document]:
    from rayspan.plan.plan import plan
    from rayspan.plan.types import Plan
    from rayspan.render import RenderSettings, objects

    spec, name = deployment.spec, deployment.metadata.name
    if spec.replicas == 0:
        print(f"# {name}: spec.replicas is 0: there is nothing to make", file=sys.stderr)
        return ()
    nodes, model = given.nodes(options.nodes) if options.nodes else None, given.model(spec, options)
    if model is None:
        raise WrongInput(
            "the model's number of layers is not known offline: give its config.json with --model-config, or "
            "--layers N, or write layers for every stage"
        )
    answer = plan(spec, model, nodes, None)
    if not isinstance(answer, Plan):
        raise WrongInput(f"{name} cannot be planned: {answer.message}")
    for line in answer.explanation:
        print(f"# {name}: {line}", file=sys.stderr)
    image = options.serving_image
    return objects(deployment, answer, RenderSettings(serving_image=image) if image else RenderSettings())
