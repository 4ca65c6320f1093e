"""The NetworkPolicies of a deployment's pods: what is for no client is for nobody else.

A Ray cluster listens on many ports, and not all of them ask for a token: its metrics and its agents do not, nor
do the sockets over which vLLM's ranks find each other and exchange messages and activations. So nothing comes in but

- from the Ray pods of the same deployment, everything. A second cluster that is to take over counts as the same: a
  policy cannot compare the labels of two pods, and both have the same token anyway;
- from Rayspan's operator and KubeRay's, the ports that they read;
- from whoever scrapes, the metrics;
- to the stage pods, from clients, the serving port. The head serves nobody.

Ports go by the names that the containers give them: while the serving port is being changed, pods of the old and the new
port are both reached. What goes out is not restricted: where hubs, buckets, mirrors and DNS are, only the cluster's
owner knows. Probes of the kubelet need no rule, for what comes from a pod's own node is always let through.

KubeRay can make such policies too (from 1.7, alpha); there a change of them makes a new Ray cluster.
"""

from __future__ import annotations

from typing import Any

from rayspan.api.v1alpha1 import LLMDeployment, Spec
from rayspan.render import names
from rayspan.render.settings import Insiders, Peers, RenderSettings

Rule = dict[str, Any]


def network_policies(deployment: LLMDeployment, settings: RenderSettings) -> tuple[dict[str, Any], ...]:
    """One for all pods, those of Jobs among them, one for the serving port of the stage pods; none where the operator
    makes none."""
    if settings.insiders is None:
        return ()
    name = deployment.metadata.name
    return (
        _policy(deployment, names.inner_policy(name), _own(name), _inner(name, settings.insiders)),
        _policy(
            deployment,
            names.serving_policy(name),
            _own(name, names.RAY_LABEL, names.STAGE_LABEL),
            [_serving(deployment)],
        ),
    )


def policies_missing(spec: Spec, settings: RenderSettings) -> str | None:
    """Why ``spec.serving.allowFrom`` cannot be done; None: it can, or is not asked for."""
    if spec.serving.allow_from is None or settings.insiders is not None:
        return None
    return (
        "spec.serving.allowFrom: this operator makes no NetworkPolicies (rayPods.networkPolicy.enabled in its chart's "
        "values): leave it out, and write a policy of your own."
    )


def _policy(
    deployment: LLMDeployment, name: str, pods: dict[str, Any], ingress: list[Rule]
) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names.metadata(deployment, name),
        "spec": {
            "podSelector": pods,
            "policyTypes": ["Ingress"],
            "ingress": ingress,
        },
    }


def _own(name: str, *labels: str) -> dict[str, Any]:
    """The pods of the deployment, or those of them that have all of these labels."""
    selector: dict[str, Any] = {"matchLabels": {names.DEPLOYMENT_LABEL: name}}
    if labels:
        selector["matchExpressions"] = [{"key": label, "operator": "Exists"} for label in labels]
    return selector


def _inner(name: str, insiders: Insiders) -> list[Rule]:
    rules: list[Rule] = [{"from": [{"podSelector": _own(name, names.RAY_LABEL)}]}]
    for peers, ports in (
        (insiders.rayspan, ("dashboard", "metrics", "serve")),
        (insiders.kuberay, ("dashboard", "serve")),
        (insiders.metrics, ("metrics",)),
    ):
        if peers:  # a rule from no one is a rule from everyone
            rules.append({"from": list(peers), "ports": _ports(*ports)})
    return rules


def _serving(deployment: LLMDeployment) -> Rule:
    ports = {"ports": _ports("serve")}
    allowed = deployment.spec.serving.allow_from
    if allowed is None:
        return ports
    # Beside those who are named: the pods of a benchmark, and of everything else that is the deployment's own.
    own = {"podSelector": _own(deployment.metadata.name)}
    return {"from": [own, *_plain(allowed)], **ports}


def _plain(peers: list[Any]) -> Peers:
    return tuple(peer.model_dump(mode="json", by_alias=True, exclude_none=True) for peer in peers)


def _ports(*ports: str) -> list[dict[str, str]]:
    return [{"port": port, "protocol": "TCP"} for port in ports]
