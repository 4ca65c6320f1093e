"""Print the objects that an LLMDeployment would become, offline.

What only the cluster knows comes from files and options: the nodes from ``--nodes`` (the output of
``kubectl get nodes -o yaml``), else the spec is trusted to fit; the number of layers from ``--layers``,
else from the stages. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rayspan.cli.errors import WrongInput

if TYPE_CHECKING:
    from rayspan.api.v1alpha1 import LLMDeployment, Spec
    from rayspan.cli.documents import Document
    from rayspan.plan.facts import ModelFacts, NodeFacts


def arguments(parser: argparse.ArgumentParser) -> None:
    """The file and what stands in for the cluster."""
    parser.add_argument("-f", "--filename", required=True, metavar="FILE", help="the manifest; - is stdin")
    parser.add_argument("--nodes", metavar="FILE", help="nodes, as `kubectl get nodes -o yaml` prints them")
    parser.add_argument("--layers", type=int, metavar="N", help="transformer layers of the model")
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
    nodes = _nodes(options.nodes) if options.nodes else None
    answer = plan(spec, _facts(spec, options.layers), nodes, None)
    if not isinstance(answer, Plan):
        raise WrongInput(f"{name} cannot be planned: {answer.message}")
    for line in answer.explanation:
        print(f"# {name}: {line}", file=sys.stderr)
    image = options.serving_image
    return objects(deployment, answer, RenderSettings(serving_image=image) if image else RenderSettings())


def _facts(spec: Spec, layers: int | None) -> ModelFacts:
    from rayspan.plan.facts import ModelFacts

    given = [stage.layers for stage in spec.parallelism.stages or ()]
    if layers is None and given and None not in given:
        layers = sum(filter(None, given))
    if layers is None:
        raise WrongInput(
            "the model's number of layers is not known offline: give it with --layers N "
            "(num_hidden_layers in the model's config.json), or write layers for every stage"
        )
    return ModelFacts(layers=layers)


def _nodes(path: str) -> list[NodeFacts]:
    from rayspan.cli.documents import read
    from rayspan.cluster.nodes import node_facts

    nodes = [each for each in read(path) if each.get("kind") == "Node"]
    if not nodes:
        raise WrongInput(f"{path} holds no Node: write it with `kubectl get nodes -o yaml`")
    return list(node_facts(nodes, ()))
