"""KubeRay's CRDs out of the manifest that ``make programs`` leaves: for an API server that is tested without a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml


def crds_in(manifest: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """Those of these names, in this order. Raises KeyError where one is missing."""
    # A loader in C: it is 4 MB.
    documents = yaml.load_all(manifest, Loader=yaml.CSafeLoader)
    found = {
        one["metadata"]["name"]: one for one in documents if one and one["kind"] == "CustomResourceDefinition"
    }
    return [found[name] for name in names]
