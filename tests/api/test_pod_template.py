"""What the chart's admission policy refuses in spec.serving.podTemplate, by a real API server, and in which words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import deployment, until
from tests.api.test_roles import rendered
from tests.kubectl import Refused, apply, get, kubectl

KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
FIELD = "spec.serving.podTemplate.spec"


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "ray", **fields}]}


def secured(**fields: Any) -> dict[str, Any]:
    return container(securityContext=fields)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a path of the node": (
        {"volumes": [{"name": "ok", "emptyDir": {}}, {"name": "node", "hostPath": {"path": "/"}}]},
        f"{FIELD}.volumes: a hostPath reaches into the node",
    ),
    "the node's network": ({"hostNetwork": True}, f"{FIELD}: hostNetwork, hostPID and hostIPC share the node's"),
    "the node's processes": ({"hostPID": True}, f"{FIELD}: hostNetwork, hostPID and hostIPC share the node's"),
    "the node's memory": ({"hostIPC": True}, f"{FIELD}: hostNetwork, hostPID and hostIPC share the node's"),
    "a port of the node": (
        container(ports=[{"containerPort": 8000, "hostPort": 8000}]),
        f"{FIELD}.containers[].ports[].hostPort takes a port of the node",
    ),
    "a privileged container": (
        secured(privileged=True),
        f"{FIELD}.containers[].securityContext.privileged: a privileged container is root on the node",
    ),
    "a privileged container beside Ray's": (
        {"containers": [{"name": "ray"}, {"name": "side", "securityContext": {"privileged": True}}]},
        f"{FIELD}.containers[].securityContext.privileged: a privileged container is root on the node",
    ),
    "a privileged container that runs first": (
        {"initContainers": [{"name": "first", "image": "x", "securityContext": {"privileged": True}}]},
        f"{FIELD}.containers[].securityContext.privileged: a privileged container is root on the node",
    ),
    "more capabilities": (
        secured(capabilities={"add": ["SYS_ADMIN"]}),
        f"{FIELD}.containers[].securityContext.capabilities.add: Ray and vLLM need none",
    ),
    "privilege escalation": (
        secured(allowPrivilegeEscalation=True),
        f"{FIELD}.containers[].securityContext.allowPrivilegeEscalation: leave it out, or write false",
    ),
    "another account": (
        {"serviceAccountName": "admin"},
        f"{FIELD}.serviceAccountName: a pod has all the rights of its account: leave it out, or name one of models",
    ),
    "another account by the field's old name": (
        {"serviceAccount": "admin"},
        f"{FIELD}.serviceAccountName: a pod has all the rights of its account",
    ),
    "a truth that is a text": ({"hostNetwork": "true"}, f"{FIELD}: hostNetwork, hostPID and hostIPC"),
    "a text where a list should be": ({"volumes": "hostPath"}, "expected iterable type"),
}  # fmt: skip

TAKEN: dict[str, dict[str, Any]] = {
    "nothing at all": {},
    "volumes of its own": {"volumes": [{"name": "tmp", "emptyDir": {}}]},
    "what is false anyway": {
        "hostNetwork": False,
        **secured(privileged=False, allowPrivilegeEscalation=False),
    },
    "fewer capabilities": secured(capabilities={"drop": ["ALL"]}),
    "ports of the pod": container(ports=[{"name": "debug", "containerPort": 9000}]),
    "an account that is allowed": {"serviceAccountName": "models"},
    "the account that pods have anyway": {"serviceAccountName": "default"},
    "resources, tolerations and a scheduler": {
        "tolerations": [{"operator": "Exists"}],
        "schedulerName": "other",
        **container(resources={"limits": {"memory": "8Gi"}}),
    },
}


@pytest.fixture(scope="module", autouse=True)
def policy(server: None) -> Iterator[None]:
    """The policy as the chart has it, in effect in namespaces with a label."""
    made = rendered(
        KINDS,
        "--set-json", 'podTemplatePolicy.namespaceSelector={"matchLabels":{"tests":"policy"}}',
        "--set", "podTemplatePolicy.serviceAccounts={models}",
    )  # fmt: skip
    assert [each["kind"] for each in made] == list(KINDS)
    for each in made:
        kubectl("create", "-f", "-", stdin=json.dumps(each))
    yield
    for each in made:
        kubectl("delete", each["kind"], each["metadata"]["name"])


@pytest.fixture
def namespace(namespace: str) -> str:
    """One that the policy holds for, once it does."""
    kubectl("label", "namespace", namespace, "tests=policy")
    probe = given(namespace, {"hostPID": True}, "probe")
    until("the policy to be in effect", lambda: refusal(probe, "--dry-run=server"), 60)
    return namespace


def given(namespace: str, pod: dict[str, Any], name: str = "tiny") -> dict[str, Any]:
    return deployment(namespace, name, serving={"podTemplate": {"spec": pod}})


def refusal(document: dict[str, Any], *arguments: str) -> str:
    """The API server's words; empty: it took it."""
    try:
        apply(document, *arguments)
    except Refused as refused:
        return str(refused)
    return ""


def test_a_template_is_refused_with(namespace: str) -> None:
    """All in one namespace: to have the policy in effect takes longer than to ask."""
    wrong = {
        sentence: said
        for sentence, (pod, words) in REFUSED.items()
        if words not in (said := refusal(given(namespace, pod), "--dry-run=server"))
    }
    assert not wrong


def test_a_template_is_taken_with(namespace: str) -> None:
    said = {s: refusal(given(namespace, pod), "--dry-run=server") for s, pod in TAKEN.items()}
    assert {sentence: words for sentence, words in said.items() if words} == {}
    assert refusal(deployment(namespace), "--dry-run=server") == ""


def test_what_was_there_before_can_be_changed_elsewhere_scaled_and_deleted(namespace: str) -> None:
    kubectl("label", "namespace", namespace, "tests-")
    document = given(namespace, {"hostPID": True})
    until("the policy not to be in effect", lambda: not refusal(document, "--dry-run=server"), 60)
    apply(document)
    kubectl("label", "namespace", namespace, "tests=policy")
    until(
        "the policy to be in effect",
        lambda: refusal({**document, "metadata": {**document["metadata"], "name": "b"}}, "--dry-run=server"),
        60,
    )
    document["spec"]["replicas"] = 3
    assert refusal(document) == ""
    kubectl("-n", namespace, "scale", "llm", "tiny", "--replicas=2")
    document["spec"]["serving"]["podTemplate"]["spec"]["priorityClassName"] = "high"
    assert "hostPID" in refusal(document)
    kubectl("-n", namespace, "delete", "llm", "tiny", "--cascade=foreground", "--timeout=120s", timeout=150)
    assert get("-n", namespace, "llm")["items"] == []


def test_where_the_policy_does_not_hold_it_refuses_nothing(namespace: str) -> None:
    kubectl("label", "namespace", namespace, "tests-")
    document = given(namespace, {"hostPID": True})
    until("the policy not to be in effect", lambda: not refusal(document, "--dry-run=server"), 60)
