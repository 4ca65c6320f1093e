"""The operator's pod: restricted, reachable by its probes, placed as the platform team wants it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from rayspan.settings import Settings

from tests.unit.chart.rendered import CHART, SHAPES, kinds, one, render

VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
SELECTOR = {"app.kubernetes.io/name": "rayspan", "app.kubernetes.io/instance": "rayspan"}


def pod(*values: str) -> dict[str, Any]:
    found: dict[str, Any] = one(render(*values), "Deployment")["spec"]["template"]["spec"]
    return found


def test_the_pod_meets_the_restricted_profile() -> None:
    spec = pod()
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {name: set(each) for name, each in container["resources"].items()} == {
        name: {"cpu", "memory", "ephemeral-storage"} for name in ("requests", "limits")
    }


def test_the_accounts_token_is_mounted_by_hand_where_clients_look_for_it() -> None:
    """What the kubelet would mount by itself, with a token that ends; in no other container."""
    objects = render()
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    assert spec["automountServiceAccountToken"] is False
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "api-access")
    assert mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount"
    (volume,) = (each for each in spec["volumes"] if each["name"] == "api-access")
    token, authority, downward = volume["projected"]["sources"]
    assert token["serviceAccountToken"] == {"path": "token", "expirationSeconds": 3607}
    assert authority["configMap"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    assert [each["path"] for each in downward["downwardAPI"]["items"]] == ["namespace"]


def test_every_probe_asks_a_port_that_is_there() -> None:
    (container,) = pod()["containers"]
    ports = {each["name"] for each in container["ports"]}
    asked = {container[f"{kind}Probe"]["httpGet"]["port"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {"health"} <= ports


PLACED: dict[str, tuple[tuple[str, ...], str, Any]] = {
    "a node selector": (("--set", "nodeSelector.pool=infra"), "nodeSelector", {"pool": "infra"}),
    "a toleration": (
        ("--set-json", 'tolerations=[{"key":"infra","operator":"Exists"}]'),
        "tolerations",
        [{"key": "infra", "operator": "Exists"}],
    ),
    "an affinity": (
        ("--set-json", 'affinity={"podAffinity":{}}'),
        "affinity",
        {"podAffinity": {}},
    ),
    "a spread without a selector is over the operator's pods": (
        ("--set-json", 'topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule"}]'),
        "topologySpreadConstraints",
        [{
            "maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": SELECTOR},
        }],
    ),
    "a spread with a selector keeps it": (
        (
            "--set-json",
            'topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"z","whenUnsatisfiable":"DoNotSchedule",'
            '"labelSelector":{"matchExpressions":[{"key":"a","operator":"Exists"}]}}]',
        ),
        "topologySpreadConstraints",
        [{
            "maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}], "matchLabels": SELECTOR},
        }],
    ),
    "a priority": (("--set", "priorityClassName=high"), "priorityClassName", "high"),
    "a pull secret": (("--set", "image.pullSecrets[0].name=registry"), "imagePullSecrets", [{"name": "registry"}]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "field", "wanted"), PLACED.values(), ids=list(PLACED))
def test_what_is_said_of_the_pod_is_in_it(values: tuple[str, ...], field: str, wanted: Any) -> None:
    assert pod(*values)[field] == wanted
    assert field not in pod()


IMAGES: dict[str, tuple[tuple[str, ...], str]] = {
    "by the chart's version": ((), f"ghcr.io/rayspan/operator:{VERSION}"),
    "by tag": (("--set", "image.tag=edge"), "ghcr.io/rayspan/operator:edge"),
    "by digest, whatever the tag": (
        ("--set", "image.tag=edge", "--set", f"image.digest=sha256:{'a' * 64}"),
        f"ghcr.io/rayspan/operator@sha256:{'a' * 64}",
    ),
    "from a mirror": (
        ("--set", "image.repository=mirror.example/operator"),
        f"mirror.example/operator:{VERSION}",
    ),
}


@pytest.mark.parametrize(("values", "image"), IMAGES.values(), ids=list(IMAGES))
def test_the_image(values: tuple[str, ...], image: str) -> None:
    assert pod(*values)["containers"][0]["image"] == image


def test_the_operator_is_told_what_to_watch() -> None:
    def variable(*values: str) -> str:
        variables = {each["name"]: each.get("value") for each in pod(*values)["containers"][0]["env"]}
        return str(variables["RAYSPAN_WATCH_NAMESPACES"])

    assert variable() == ""
    assert variable(*SHAPES["restricted to two namespaces"]) == "llm-a,llm-b"


def test_a_key_of_ones_own_is_mounted_and_none_is_made() -> None:
    objects = render("--set", "masterKey.existingSecret=mine", "--set", "masterKey.key=token")
    assert "Secret" not in kinds(objects)
    volumes = one(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["secret"] == {
        "secretName": "mine",
        "defaultMode": 0o440,
        "items": [{"key": "token", "path": "key"}],
    }


def test_a_generated_key_is_long_and_stays_when_the_release_goes() -> None:
    secret = one(render(), "Secret")
    assert secret["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert len(secret["data"]["key"]) >= 64
    again = one(render("--set", "logLevel=info"), "Secret")
    assert secret["data"] != again["data"], "no key is in the chart itself"


def test_one_operator_works_at_a_time_and_lets_nodes_be_drained() -> None:
    objects = render()
    deployment, budget = one(objects, "Deployment")["spec"], one(objects, "PodDisruptionBudget")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert budget == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": deployment["selector"]["matchLabels"]},
    }
    assert "PodDisruptionBudget" not in kinds(render("--set", "podDisruptionBudget.enabled=false"))


def elected(*values: str) -> dict[str, str]:
    variables = {each["name"]: each.get("value") for each in pod(*values)["containers"][0]["env"]}
    return {name: value for name, value in variables.items() if "LEA" in name}


def test_of_several_operators_one_works_and_the_others_are_elsewhere() -> None:
    spec = one(render("--set", "replicas=3"), "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (
        3,
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    )
    assert spec["template"]["spec"]["topologySpreadConstraints"] == [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": SELECTOR},
    }]  # fmt: skip
    assert elected("--set", "replicas=3") == {
        "RAYSPAN_LEADER_ELECT": "true",
        "RAYSPAN_LEASE_NAMESPACE": "rayspan-system",
        "RAYSPAN_LEASE_NAME": "rayspan",
    }


def test_a_spread_of_ones_own_is_the_only_one() -> None:
    values, _, wanted = PLACED["a spread without a selector is over the operator's pods"]
    assert pod(*values, "--set", "replicas=2")["topologySpreadConstraints"] == wanted


def test_one_operator_takes_a_lease_on_request_only() -> None:
    assert elected() == {}
    alone = one(render("--set", "leaderElection=true"), "Deployment")["spec"]
    assert (alone["replicas"], alone["strategy"]) == (1, {"type": "Recreate"})
    assert elected("--set", "leaderElection=true")["RAYSPAN_LEADER_ELECT"] == "true"


def test_the_variables_of_the_election_are_settings() -> None:
    known = {f"RAYSPAN_{field.upper()}" for field in Settings.__dataclass_fields__}
    assert set(elected("--set", "replicas=2")) <= known


def test_an_account_of_ones_own_is_used_and_none_is_made() -> None:
    objects = render(*SHAPES["without what is optional"])
    assert "ServiceAccount" not in kinds(objects)
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "mine"
