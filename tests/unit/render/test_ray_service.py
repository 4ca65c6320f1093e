"""The RayService: revisions, pods, what the owner's template may and may not change."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from rayspan.api.v1alpha1 import LLMDeployment
from rayspan.plan.types import Plan, StagePlan
from rayspan.render import (
    RenderSettings,
    inspect_job,
    inspect_key,
    objects,
    recorded_endpoint,
    recorded_plan,
)
from rayspan.render import token_secret as token_secret_
from rayspan.render.inspect_job import question
from rayspan.render.names import CLUSTER_REVISION, PLAN, REVISION, SERVE_REVISION, url

SETTINGS = RenderSettings(serving_image="serving:1")
HOST = "kubernetes.io/hostname"
Change = dict[str, Any]


def deployment(**spec: Any) -> LLMDeployment:
    metadata = {"name": "chat", "namespace": "models", "uid": "u-1"}
    return LLMDeployment.model_validate({"metadata": metadata, "spec": {"model": {"id": "chat"}, **spec}})


def plan(*selectors: dict[str, str], tensor: int = 1) -> Plan:
    chosen = selectors or ({HOST: "gpu-a"}, {HOST: "gpu-b"})
    stages = tuple(StagePlan(i, 4, selector, ("x",)) for i, selector in enumerate(chosen))
    return Plan(tensor, stages, "nvidia.com/gpu", ("Because.",))


def service(given: LLMDeployment | None = None, cut: Plan | None = None) -> dict[str, Any]:
    (made,) = objects(given or deployment(), cut or plan(), SETTINGS)
    return made


def groups(made: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    return found


def container(group: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = group["template"]["spec"]["containers"][0]
    return found


def template(**spec: Any) -> dict[str, Any]:
    return {"serving": {"podTemplate": {"spec": spec}}}


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "replicas change nothing": ({"replicas": 3}, set()),
    "objectives change nothing": ({"objectives": {"endToEnd": {"p99": "20s"}}}, set()),
    "the limit of requests changes in place": ({"serving": {"maxOngoingRequests": 7}}, {REVISION}),
    "the timeout restarts the application": (
        {"serving": {"requestTimeoutSeconds": 7}},
        {REVISION, SERVE_REVISION},
    ),
    "engine arguments restart the application": (
        {"engine": {"args": {"max_model_len": 512}}},
        {REVISION, SERVE_REVISION},
    ),
    "engine variables restart the application": ({"engine": {"env": {"A": "b"}}}, {REVISION, SERVE_REVISION}),
    "an image needs new pods": ({"serving": {"image": "serving:2"}}, {REVISION, CLUSTER_REVISION}),
    "a port needs new pods": ({"serving": {"port": 9000}}, {REVISION, CLUSTER_REVISION}),
    "tolerations need new pods": (
        template(tolerations=[{"operator": "Exists"}]),
        {REVISION, CLUSTER_REVISION},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_of_all_changes(case: str) -> None:
    change, moved = CHANGES[case]
    before, after = (made["metadata"]["annotations"] for made in (service(), service(deployment(**change))))
    assert {key for key in (REVISION, CLUSTER_REVISION, SERVE_REVISION) if before[key] != after[key]} == moved


def test_moving_a_stage_needs_new_pods_and_new_pods_alone() -> None:
    before = service()["metadata"]["annotations"]
    after = service(cut=plan({HOST: "gpu-b"}, {HOST: "gpu-a"}))["metadata"]["annotations"]
    assert before[CLUSTER_REVISION] != after[CLUSTER_REVISION]
    assert before[SERVE_REVISION] == after[SERVE_REVISION]


def test_pods_carry_the_clusters_revision() -> None:
    made = service()
    revision = made["metadata"]["annotations"][CLUSTER_REVISION]
    for group in (made["spec"]["rayClusterConfig"]["headGroupSpec"], *groups(made)):
        assert group["template"]["metadata"]["annotations"][CLUSTER_REVISION] == revision


def test_where_a_stage_could_run_today_changes_nothing() -> None:
    stages = tuple(StagePlan(s.index, s.layers, s.node_selector, ("y", "z")) for s in plan().stages)
    assert service() == service(cut=Plan(1, stages, "nvidia.com/gpu", ("Because.",)))


def test_equal_input_gives_equal_bytes_and_rendering_changes_no_input() -> None:
    own = {"metadata": {"annotations": {"a": "b"}}, "spec": {"containers": [{"name": "ray", "env": []}]}}
    given = deployment(serving={"podTemplate": own})
    kept = deepcopy(given)
    first = json.dumps(service(given))
    assert json.dumps(service(given)) == first
    assert given == kept
    assert CLUSTER_REVISION not in json.dumps(inspect_job(given, SETTINGS))


def test_no_replicas_no_objects() -> None:
    assert objects(deployment(replicas=0), plan(), SETTINGS) == ()


def test_the_plan_is_read_back_from_where_it_was_recorded() -> None:
    read = recorded_plan(service()["metadata"]["annotations"])
    assert read is not None
    assert read.layers == (4, 4)
    assert [dict(stage.node_selector) for stage in read.stages] == [{HOST: "gpu-a"}, {HOST: "gpu-b"}]
    assert read.explanation == ("Because.",)


@pytest.mark.parametrize("annotations", [{}, {PLAN: "{"}, {PLAN: "[]"}, {PLAN: "{}"}, {PLAN: "null"}])
def test_a_plan_that_is_not_there_or_nonsense_is_none(annotations: dict[str, str]) -> None:
    assert recorded_plan(annotations) is None


def test_a_stage_keeps_off_nodes_of_other_stages_but_for_those_that_share_its_host() -> None:
    cut = plan({HOST: "gpu-a"}, {HOST: "gpu-a"}, {"pool": "big"})
    tolerated = []
    for group in groups(service(cut=cut)):
        anti = group["template"]["spec"]["affinity"]["podAntiAffinity"]
        (term,) = anti["requiredDuringSchedulingIgnoredDuringExecution"]
        # Of the same cluster alone: a second one comes up beside it, perhaps with the stages swapped.
        assert term["matchLabelKeys"] == ["ray.io/cluster"]
        tolerated.append(term["labelSelector"]["matchExpressions"][1]["values"])
    assert tolerated == [["0", "1"], ["0", "1"], ["2"]]


def test_the_template_of_the_owner_is_merged_but_ranks_nodes_and_labels_are_not_its_to_change() -> None:
    gpus = {"nvidia.com/gpu": "8"}
    own = {
        "metadata": {"labels": {"team": "chat", "rayspan.dev/stage": "7"}},
        "spec": {
            "nodeSelector": {"zone": "one", HOST: "gpu-z"},
            "containers": [{"name": "ray", "resources": {"requests": {"cpu": "8"}, "limits": gpus}}],
        },
    }
    made = service(
        deployment(serving={"podTemplate": own}),
        plan({HOST: "gpu-a", "zone": "one"}, {"zone": "one"}, tensor=2),
    )
    first = groups(made)[0]
    assert container(first)["resources"] == {
        "requests": {"cpu": "8", "memory": "4Gi", "nvidia.com/gpu": "2"},
        "limits": {"nvidia.com/gpu": "2"},
    }
    assert first["template"]["spec"]["nodeSelector"] == {HOST: "gpu-a", "zone": "one"}
    labels = first["template"]["metadata"]["labels"]
    assert (labels["team"], labels["rayspan.dev/stage"]) == ("chat", "0")
    head = made["spec"]["rayClusterConfig"]["headGroupSpec"]
    assert container(head)["resources"] == {"requests": {"cpu": "500m", "memory": "2Gi"}}


TIMES: dict[str, tuple[Change, tuple[int, str], tuple[int, str]]] = {
    "by default": ({}, (35, "30"), (40, "32")),
    "as the owner wants": (template(terminationGracePeriodSeconds=120), (120, "115"), (125, "117")),
    "with next to no time": (template(terminationGracePeriodSeconds=1), (1, "1"), (6, "1")),
}


@pytest.mark.parametrize("case", TIMES)
def test_the_head_drains_longer_than_the_stages(case: str) -> None:
    change, stage, head = TIMES[case]
    made = service(deployment(**change))
    for group, expected in (
        (groups(made)[0], stage),
        (made["spec"]["rayClusterConfig"]["headGroupSpec"], head),
    ):
        (drain,) = (v["value"] for v in container(group)["env"] if v["name"] == "RAYSPAN_DRAIN_SECONDS")
        assert (group["template"]["spec"]["terminationGracePeriodSeconds"], drain) == expected
        hook = container(group)["lifecycle"]["preStop"]["exec"]["command"]
        assert hook[:3] == ["python", "-m", "rayspan_serving.drain"]
        assert ("--head" in hook) is (expected is head)


def test_secrets_are_referenced_and_never_written() -> None:
    given = deployment(
        model={"id": "chat", "tokenSecret": {"name": "hub", "key": "token"}},
        serving={"apiKeySecret": {"name": "keys", "key": "key"}},
    )
    stage = groups(service(given))[0]
    found = {v["name"]: v["valueFrom"]["secretKeyRef"] for v in container(stage)["env"] if "valueFrom" in v}
    assert found == {
        "RAYSPAN_PROBE_TOKEN": {"name": "chat-ray-token", "key": "probe_token"},
        "HF_TOKEN": {"name": "hub", "key": "token"},
    }
    file = {"name": "RAYSPAN_API_KEYS_FILE", "value": "/etc/rayspan/api-keys/keys"}
    mount = {"name": "api-keys", "mountPath": "/etc/rayspan/api-keys", "readOnly": True}
    source = {"secretName": "keys", "defaultMode": 0o440, "items": [{"key": "key", "path": "keys"}]}
    assert file in container(stage)["env"]
    assert mount in container(stage)["volumeMounts"]  # whole, not a subPath: that would never be renewed
    assert {"name": "api-keys", "secret": source} in stage["template"]["spec"]["volumes"]
    secret = token_secret_(given, "ray", "probe")
    assert secret["stringData"] == {"auth_token": "ray", "probe_token": "probe"}
    assert secret["metadata"]["ownerReferences"] == service(given)["metadata"]["ownerReferences"]


KEYS: dict[str, tuple[Change, bool]] = {
    "an image": ({"serving": {"image": "serving:2"}}, True),
    "a source": ({"model": {"id": "chat", "source": "file:///chat"}}, True),
    "a revision": ({"model": {"id": "chat", "revision": "v1"}}, True),
    "a token": ({"model": {"id": "chat", "tokenSecret": {"name": "a", "key": "b"}}}, True),
    "an engine argument": ({"engine": {"args": {"max_model_len": 512}}}, True),
    "replicas": ({"replicas": 2}, False),
    "a stage's node": ({"parallelism": {"pipeline": 2}}, False),
}


@pytest.mark.parametrize("case", KEYS)
def test_the_model_is_inspected_anew_for(case: str) -> None:
    change, anew = KEYS[case]
    assert (inspect_key(deployment(**change), SETTINGS) != inspect_key(deployment(), SETTINGS)) is anew


def test_the_inspection_has_the_pods_access_but_no_gpu() -> None:
    own = {"spec": {"containers": [{"name": "ray", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}}
    given = deployment(model={"id": "chat", "source": "pvc://weights/x"}, serving={"podTemplate": own})
    job = inspect_job(given, SETTINGS)
    assert job["metadata"]["name"] == f"chat-inspect-{inspect_key(given, SETTINGS)}"
    (only,) = job["spec"]["template"]["spec"]["containers"]
    assert only["name"] == "inspect"
    assert "limits" not in only["resources"]
    assert {"name": "model", "mountPath": "/models/weights", "readOnly": True} in only["volumeMounts"]
    assert question(given) == {"source": "file:///models/weights/x", "revision": "", "engineArgs": {}}


def test_the_endpoint_is_kuberays_service() -> None:
    assert url(deployment(serving={"port": 9000})) == "http://chat-serve-svc.models.svc:9000/v1"


def test_a_ray_service_says_what_it_serves_and_where() -> None:
    annotations = service()["metadata"]["annotations"]
    assert recorded_endpoint(annotations) == ("chat", 8000)
    assert recorded_endpoint({}) == (None, None)
