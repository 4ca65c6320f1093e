"""KubeRay's CRDs where there is no cluster to ask."""

from __future__ import annotations

import pytest

from tests.api.manifest import crds_in

MANIFEST = """
kind: Namespace
metadata: {name: kuberay-system}
---
---
kind: CustomResourceDefinition
metadata: {name: rayclusters.ray.io}
---
kind: CustomResourceDefinition
metadata: {name: rayservices.ray.io}
"""


def test_those_that_are_asked_for_come_in_this_order() -> None:
    found = crds_in(MANIFEST, ("rayservices.ray.io", "rayclusters.ray.io"))
    assert [one["metadata"]["name"] for one in found] == ["rayservices.ray.io", "rayclusters.ray.io"]


def test_one_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match=r"rayjobs\.ray\.io"):
        crds_in(MANIFEST, ("rayjobs.ray.io",))
