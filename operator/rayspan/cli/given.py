"""What only the cluster or the model tells, given in files and options instead."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from rayspan.cli.documents import read_json
from rayspan.cli.errors import WrongInput

if TYPE_CHECKING:
    from rayspan.api.v1alpha1 import Spec
    from rayspan.plan.facts import ModelFacts, NodeFacts


def arguments(parser: argparse.ArgumentParser) -> None:
    """The files and options."""
    parser.add_argument("--nodes", metavar="FILE", help="nodes, as `kubectl get nodes -o yaml` prints them")
    parser.add_argument("--model-config", metavar="FILE", help="the model's config.json")
    parser.add_argument(
        "--layers", type=int, metavar="N", help="transformer layers, where nothing else is known"
    )


def model(spec: Spec, options: argparse.Namespace) -> ModelFacts | None:
    """Facts of the model, as far as they are given; None: nothing is."""
    from rayspan.plan.facts import ModelFacts

    if options.model_config:
        return _from_config(options.model_config)
    given = [stage.layers for stage in spec.parallelism.stages or ()]
    layers: int | None = options.layers
    if layers is None and given and None not in given:
        layers = sum(filter(None, given))
    return ModelFacts(layers=layers) if layers is not None else None


def _from_config(path: str) -> ModelFacts:
    from rayspan.plan.model_config import Incomplete
    from rayspan.plan.model_facts import model_facts

    content = read_json(path)
    if not isinstance(content, dict):
        raise WrongInput(f"{path} holds no JSON object: give the model's config.json")
    try:
        return model_facts(content)
    except Incomplete as error:
        raise WrongInput(f"{path} is no model's config: {error}") from error


def nodes(path: str) -> list[NodeFacts]:
    """Facts of the nodes in a file."""
    from rayspan.cli.documents import read
    from rayspan.cluster.nodes import node_facts

    found = [each for each in read(path) if each.get("kind") == "Node"]
    if not found:
        raise WrongInput(f"{path} holds no Node: write it with `kubectl get nodes -o yaml`")
    return list(node_facts(found, Counter()))
