"""Print the CustomResourceDefinition of LLMDeployment."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def execute(_options: argparse.Namespace) -> int:
    """Write the CRD to standard output."""
    print(text(), end="")
    return 0


def text() -> str:
    """The CRD as YAML, exactly as it lies in crds/."""
    from rayspan.api.crd import crd
    from rayspan.cli.documents import to_yaml

    return "# Made by `make crds` from operator/rayspan/api. Do not edit.\n" + to_yaml([crd()])
