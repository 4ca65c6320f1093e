"""Which nodes a stage's pod may run on: labels against the selector, taints against the tolerations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rayspan.api.v1alpha1 import Spec
from rayspan.plan.facts import NodeFacts, Taint

HOSTNAME: Final = "kubernetes.io/hostname"

GPU_TOLERATIONS: Final[tuple[Mapping[str, str], ...]] = (
    {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
)
"""Stage pods always tolerate these: clusters keep pods without GPUs off GPU nodes with them."""


@dataclass(frozen=True)
class Stage:
    """What one stage asks of its node."""

    index: int
    selector: Mapping[str, str]
    """Labels that the node must carry: the stage's own and those of the pod template."""
    field: str
    """Where the selector stands in the spec."""


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a node with ``labels`` has all that ``selector`` wants."""
    return all(labels.get(key) == value for key, value in selector.items())


def tolerated(taint: Taint, tolerations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of ``tolerations`` covers ``taint``, as the scheduler sees it.

    An empty key with ``Exists`` covers everything, an empty effect covers every effect, and the default
    operator is ``Equal``. ``PreferNoSchedule`` keeps no pod away.
    """
    if taint.effect == "PreferNoSchedule":
        return True
    for toleration in tolerations:
        key, effect = toleration.get("key") or "", toleration.get("effect") or ""
        if effect not in ("", taint.effect):
            continue
        if toleration.get("operator", "Equal") == "Exists":
            if key in ("", taint.key):
                return True
        elif key == taint.key and (toleration.get("value") or "") == taint.value:
            return True
    return False


def pod_template_spec(spec: Spec) -> Mapping[str, Any]:
    """The ``spec`` of spec.serving.podTemplate, empty if there is none."""
    template = spec.serving.pod_template or {}
    pod = template.get("spec")
    return pod if isinstance(pod, Mapping) else {}


def tolerations(spec: Spec) -> tuple[Mapping[str, Any], ...]:
    """All that stage pods tolerate."""
    own = pod_template_spec(spec).get("tolerations")
    return (*GPU_TOLERATIONS, *(own if isinstance(own, list) else ()))


def stage_selector(spec: Spec, index: int) -> tuple[Mapping[str, str], str]:
    """The stage's full node selector, and the field of the spec that says it."""
    common = pod_template_spec(spec).get("nodeSelector")
    selector = {str(key): str(value) for key, value in common.items()} if isinstance(common, Mapping) else {}
    field = "spec.serving.podTemplate.spec.nodeSelector"
    stages = spec.parallelism.stages
    if stages and index < len(stages) and stages[index].node_selector:
        selector |= stages[index].node_selector or {}
        field = f"spec.parallelism.stages[{index}].nodeSelector"
    return dict(sorted(selector.items())), field


def barred(node: NodeFacts, spec: Spec) -> str | None:
    """Why no pod of this deployment can start on ``node`` at all; None: one can."""
    if not node.ready:
        return "not ready"
    if node.cordoned:
        return "cordoned"
    for taint in node.taints:
        if not tolerated(taint, tolerations(spec)):
            value = f"={taint.value}" if taint.value else ""
            return f"its taint {taint.key}{value}:{taint.effect} is not tolerated"
    return None


def shares_host(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two stages ask to share a node: both select the very same host by name."""
    return HOSTNAME in one and one.get(HOSTNAME) == other.get(HOSTNAME)
