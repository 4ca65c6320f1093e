"""Every condition in every situation. What is expected stands in conditions.yaml, keyed by the same sentences:
the phase, and the conditions that differ from those of the first situation, in which all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rayspan.api.conditions import ConditionType, Reason
from rayspan.plan.types import Invalid, Unplaceable
from rayspan.report.input import Input, Inspecting, Refused
from rayspan.report.observed import RankView, RayClusterView, ServeView, Unknown
from rayspan.report.status import status

from tests.unit.report.conftest import ANSWERED, FAILED

OBJECTIVES = {"timeToFirstToken": {"p95": "500ms"}, "endToEnd": {"p99": "20s"}}
TRACEBACK = """Deploying app 'tiny' failed with exception:
Traceback (most recent call last):
  File "/home/ray/engine.py", line 3, in start
    check()
\x1b[36mValueError: max seq len 131072 is larger than the KV cache holds; HF_TOKEN=hf_abcdefghijklmnop\x1b[0m
"""

SITUATIONS: dict[str, Callable[[Any], Input]] = {
    "all is well": lambda w: w.serving(),
    "two replicas are well": lambda w: w.serving(2),
    "spec.replicas is 0 and the pods are gone": lambda w: w.seen(
        w.serving(0), pods=(), ray_service=None, ray_cluster=None, serve=None, completion=None
    ),
    "spec.replicas is 0 and pods are still going": lambda w: w.pods(w.serving(0), w.pod(0, terminating=True)),
    "the model is being read for the first time": lambda w: w.fresh(answer=Inspecting()),
    "the Job that reads the model waits for its image": lambda w: w.fresh(
        answer=Inspecting("pod tiny-inspect-0 cannot pull image serve:2")
    ),
    "the first spec contradicts itself": lambda w: w.fresh(
        answer=Invalid("spec.parallelism.stages has 3 entries, pipeline is 2: make them agree.")
    ),
    "no node can hold the first spec": lambda w: w.fresh(
        answer=Unplaceable("stage 0 needs 8 GPUs on one node, the largest of 2 nodes has 4.")
    ),
    "the model cannot be read": lambda w: w.fresh(
        answer=Refused(Reason.MODEL_UNREADABLE, "hf://x/y: 401, gated; token hf_abcdefghijklmnop")
    ),
    "the image lacks Ray": lambda w: w.fresh(
        answer=Refused(Reason.IMAGE_UNUSABLE, "image busybox has no python: use an image with Ray and vLLM.")
    ),
    "the newest spec is refused while the last good one serves": lambda w: w.refused(
        Unplaceable("stage 0 needs 8 GPUs on one node, the largest has 4.")
    ),
    "a newer spec is being read while the last good one serves": lambda w: replace(
        w.refused(Invalid("")), answer=Inspecting()
    ),
    "KubeRay is not installed": lambda w: w.seen(
        w.fresh(), ray_service_kind=False, ray_service=Unknown("404")
    ),
    "the API server refuses what is applied": lambda w: replace(
        w.fresh(), apply_error="exceeded quota: gpus, used 4, limited 4"
    ),
    "the RayService is about to be made": lambda w: w.fresh(),
    "the RayService has the previous version": lambda w: replace(w.serving(), revision="new"),
    "KubeRay has not seen the newest RayService": lambda w: w.seen(
        w.serving(), ray_service=w.service(observed_generation=1)
    ),
    "KubeRay has made no RayCluster": lambda w: w.seen(
        w.serving(),
        ray_service=w.service(active_cluster=None),
        ray_cluster=None,
        pods=(),
        serve=None,
        completion=None,
    ),
    "the RayService cannot be read": lambda w: w.seen(
        w.serving(), ray_service=Unknown("the RayService cannot be read: timed out")
    ),
    "the pods cannot be read": lambda w: w.seen(
        w.serving(), pods=Unknown("pods cannot be read: 403 Forbidden")
    ),
    "Ray's dashboard does not answer": lambda w: w.seen(
        w.serving(), serve=Unknown("Ray's dashboard did not answer /x within 5 s")
    ),
    "the nodes cannot be read": lambda w: replace(
        w.serving(), nodes=Unknown("nodes cannot be read: 403 Forbidden")
    ),
    "a stage's node is not among the known ones": lambda w: replace(w.serving(), nodes=(w.node("gpu-a"),)),
    "nobody could ask for a completion": lambda w: w.seen(
        w.serving(), completion=Unknown("no pod could be asked")
    ),
    "the head's pod is still starting": lambda w: w.starting(
        *(replace(p, phase="Pending", ready=False) for p in w.serving().observed.pods)
    ),
    "the stages' pods are still starting": lambda w: w.starting(
        w.pod(0, phase="Pending", ready=False), w.pod(1, phase="Pending", ready=False)
    ),
    "a quota leaves no room for a stage's pod": lambda w: w.without(
        w.seen(
            w.starting(),
            ray_cluster=RayClusterView(
                "tiny-abc",
                (),
                refused='FailedCreateWorkerPod\npods "tiny-stage-1-worker-x7kq2" is forbidden: exceeded quota',
            ),
        ),
        "tiny-stage-1-0",
    ),
    "a stage finds no node": lambda w: w.starting(
        w.pod(
            1,
            phase="Pending",
            ready=False,
            node=None,
            unschedulable="0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        )
    ),
    "a stage's image cannot be pulled": lambda w: w.starting(
        w.pod(
            0,
            phase="Pending",
            ready=False,
            waiting_reason="ImagePullBackOff",
            waiting_message='Back-off pulling image "serve:1": ErrImagePull: not found',
        )
    ),
    "a stage's Secret is missing": lambda w: w.starting(
        w.pod(
            0,
            phase="Pending",
            ready=False,
            waiting_reason="CreateContainerConfigError",
            waiting_message='secret "hf-token" not found',
        )
    ),
    "a stage crashes again and again": lambda w: w.starting(
        w.pod(
            1,
            ready=False,
            restarts=4,
            waiting_reason="CrashLoopBackOff",
            waiting_message="back-off 40s restarting failed container",
            last_exit="OOMKilled, exit code 137",
        )
    ),
    "the head crashes while the stages run": lambda w: w.pods(
        w.serving(),
        w.head(
            ready=False,
            restarts=2,
            waiting_reason="CrashLoopBackOff",
            last_exit="Error, exit code 1: no space left",
        ),
    ),
    "the head's pod is being deleted": lambda w: w.pods(w.serving(), w.head(terminating=True)),
    "the head's pod is gone": lambda w: w.seen(w.without(w.serving(), "tiny-head"), serve=None),
    "the head is gone and completions fail": lambda w: w.failing(
        w.seen(w.without(w.serving(), "tiny-head"), serve=None)
    ),
    "the head has started again and is not ready": lambda w: w.pods(
        w.serving(), w.head(ready=False, restarts=1)
    ),
    "a stage's only pod is being deleted": lambda w: w.pods(w.serving(), w.pod(1, terminating=True)),
    "a stage's only pod is gone": lambda w: w.without(w.serving(), "tiny-stage-1-0"),
    "a stage's pod is gone and another is starting": lambda w: w.pods(
        w.without(w.serving(), "tiny-stage-1-0"),
        w.pod(1, 7, phase="Pending", ready=False, created_at=w.now - 5),
    ),
    "a stage's pod is gone and another runs already": lambda w: w.pods(
        w.without(w.serving(), "tiny-stage-1-0"), w.pod(1, 7, created_at=w.now - 5)
    ),
    "a stage's pod of one of two replicas is being deleted": lambda w: w.pods(
        w.serving(2), w.pod(1, 1, terminating=True)
    ),
    "a stage's pod of one of two replicas is gone": lambda w: w.without(w.serving(2), "tiny-stage-1-1"),
    "a rank of the only replica died": lambda w: w.serve(
        w.serving(), w.replica(ranks=(w.rank(0), w.rank(1, state="DEAD")))
    ),
    "a rank of one of two replicas died": lambda w: w.serve(
        w.serving(2),
        w.replica(0),
        w.replica(1, ranks=(w.rank(0, pod="tiny-stage-0-1"), w.rank(1, state="DEAD", pod="tiny-stage-1-1"))),
    ),
    "Ray restarted a rank and remembers the dead one": lambda w: w.serve(
        w.serving(), w.replica(ranks=(w.rank(0), w.rank(1, state="DEAD"), w.rank(1)))
    ),
    "Ray no longer tells where a stage was, but the last status does": lambda w: w.after(
        w.serve(
            w.without(w.serving(), "tiny-stage-1-0"),
            w.replica(ranks=(w.rank(0), RankView(1, 0, "ALIVE", None))),
        ),
        status(w.serving()),
    ),
    "a stage's node is not ready": lambda w: replace(
        w.serving(), nodes=(w.node("gpu-a"), w.node("gpu-b", ready=False))
    ),
    "the tensor ranks of a stage are in different pods": lambda w: w.serve(
        w.serving(2, 2),
        w.replica(0, ranks=(w.rank(0, 0), w.rank(0, 1, pod="tiny-stage-0-1"), w.rank(1, 0), w.rank(1, 1))),
        w.replica(
            1,
            ranks=(
                w.rank(0, 0, pod="tiny-stage-0-1"),
                w.rank(0, 1),
                w.rank(1, 0, pod="tiny-stage-1-1"),
                w.rank(1, 1, pod="tiny-stage-1-1"),
            ),
        ),
    ),
    "a stage is on a node that its selector excludes": lambda w: w.pods(w.serving(), w.pod(1, node="node-0")),
    "a stage is in another stage's pod": lambda w: w.serve(
        w.serving(), w.replica(ranks=(w.rank(0), w.rank(1, pod="tiny-stage-0-0")))
    ),
    "a node lacks the label that a stage selects": lambda w: replace(
        w.serving(), nodes=(w.node("gpu-a"), w.node("gpu-b", labels={}))
    ),
    "Ray Serve is starting the replicas": lambda w: w.seen(
        w.serve(w.serving(), w.replica(state="STARTING", ranks=()), status="DEPLOYING"), completion=None
    ),
    "a tensor rank is still starting": lambda w: w.seen(
        w.serve(
            w.serving(),
            w.replica(state="STARTING", ranks=(w.rank(0), w.rank(1, state="PENDING_CREATION"))),
            status="DEPLOYING",
        ),
        completion=None,
    ),
    "Ray Serve could not deploy": lambda w: w.seen(
        w.serve(
            w.serving(), w.replica(state="STOPPING", ranks=()), status="DEPLOY_FAILED", message=TRACEBACK
        ),
        completion=None,
    ),
    "Ray Serve finds the application unhealthy though it answers": lambda w: w.serve(
        w.serving(), status="UNHEALTHY", message="ingress replica i1 failed its health check"
    ),
    "Ray Serve is still deploying though it answers": lambda w: w.serve(w.serving(), status="DEPLOYING"),
    "one of two replicas is still starting": lambda w: w.serve(
        w.serving(2), w.replica(0), w.replica(1, state="STARTING", ranks=()), status="DEPLOYING"
    ),
    "no proxy starts where the ingresses run": lambda w: w.proxies("STARTING", "UNHEALTHY"),
    "the only replica waits for a GPU that something else holds": lambda w: w.waiting(
        {"tiny-stage-0-0": 1, "tiny-stage-1-0": 0}
    ),
    "a replica that was lost waits for a GPU that something else holds": lambda w: w.serve(
        w.waiting({"tiny-stage-0-0": 1, "tiny-stage-1-0": 0}),
        w.replica(0, state="STARTING", ranks=()),
        status="UNHEALTHY",
    ),
    "the only replica waits for a pod that is not in Ray": lambda w: w.waiting({"tiny-stage-0-0": 1}),
    "the only replica waits, though there is room": lambda w: w.waiting(
        {"tiny-stage-0-0": 1, "tiny-stage-1-0": 1}
    ),
    "one of two proxies does not start": lambda w: w.proxies("HEALTHY", "UNHEALTHY"),
    "Ray Serve has no replica to show": lambda w: w.seen(
        w.serving(), serve=ServeView("RUNNING", "", (), ()), completion=None
    ),
    "one replica more than wanted is stopping": lambda w: w.serve(
        w.serving(1), w.replica(0), w.replica(1, state="STOPPING")
    ),
    "one replica more than wanted runs": lambda w: w.more(),
    "the last completion failed": lambda w: w.failing(w.serving()),
    "no completion was tried": lambda w: w.seen(w.serving(), completion=None),
    "no head runs and none was tried": lambda w: w.seen(
        w.pods(w.serving(), w.pod(0, phase="Pending", ready=False), w.pod(1, phase="Pending", ready=False)),
        serve=None,
        completion=None,
    ),
    "the last completion is too old": lambda w: w.completed(w.serving(), 61),
    "the only replica is new and was not reached yet": lambda w: w.proven(w.serving(), r0=None),
    "one of two replicas is new and was not reached yet": lambda w: w.proven(w.serving(2), r1=None),
    "one of two replicas does not answer": lambda w: w.proven(w.serving(2), r1=FAILED),
    "one of two replicas has not answered for long": lambda w: w.proven(
        w.serving(2), r1=replace(ANSWERED, at=w.now - 61)
    ),
    "nothing came through the Service yet": lambda w: w.seen(
        w.serving(), silent=("the Service tiny-serve-svc",)
    ),
    "Ray Serve still runs the arguments of before": lambda w: w.serve(
        w.seen(w.serving(), ray_service=w.service(serve_revision="new")), revision="old"
    ),
    "one serving pod is not ready": lambda w: w.pods(w.serving(), w.pod(1, ready=False)),
    "no serving pod is ready": lambda w: w.pods(w.serving(), w.pod(0, ready=False), w.pod(1, ready=False)),
    "a second cluster is being made ready beside the first": lambda w: w.seen(
        w.serving(),
        ray_service=w.service(pending_cluster="tiny-2"),
        pods=(
            *w.serving().observed.pods,
            w.head(name="tiny-2-head", cluster="tiny-2"),
            w.pod(0, 8, cluster="tiny-2"),
            w.pod(1, 8, cluster="tiny-2"),
        ),
    ),
    "objectives are set and nothing was scraped": lambda w: w.serving(objectives=OBJECTIVES),
    "objectives are set and there is no traffic": lambda w: w.scraped(w.serving(objectives=OBJECTIVES), ()),
    "the objectives are met": lambda w: w.scraped(w.serving(objectives=OBJECTIVES), (0.2,) * 30),
    "an objective is exceeded": lambda w: w.scraped(w.serving(objectives=OBJECTIVES), (0.7,) * 30),
    "the only objective is met": lambda w: w.scraped(
        w.serving(objectives={"endToEnd": {"p50": "1s"}}), (0.2,) * 30
    ),
}

EXPECTED: dict[str, dict[str, str]] = yaml.safe_load((Path(__file__).parent / "conditions.yaml").read_text())
WELL = "all is well"


def told(given: Input) -> dict[str, str]:
    """Phase and conditions as the table has them."""
    found = status(given)
    lines = {c.type: f"{c.status} {c.reason}: {c.message}" for c in found.conditions or ()}
    return {"phase": str(found.phase), **lines}


@pytest.mark.parametrize("sentence", SITUATIONS)
def test_conditions(world: Any, sentence: str) -> None:
    assert told(SITUATIONS[sentence](world)) == {**EXPECTED[WELL], **EXPECTED[sentence]}


def test_the_table_has_no_other_situations() -> None:
    assert EXPECTED.keys() == SITUATIONS.keys()


def test_every_reason_is_given_in_some_situation() -> None:
    given = {
        line.split()[1].rstrip(":")
        for lines in EXPECTED.values()
        for key, line in lines.items()
        if key != "phase"
    }
    assert given == {reason.value for reason in Reason}


@pytest.mark.parametrize("sentence", SITUATIONS)
def test_a_status_is_whole_bounded_and_without_secrets(world: Any, sentence: str) -> None:
    found = status(SITUATIONS[sentence](world))
    document = found.model_dump(by_alias=True, exclude_none=True, mode="json")
    assert type(found).model_validate(document) == found
    assert [c["type"] for c in document["conditions"]] == [t.value for t in ConditionType]
    assert "hf_abc" not in str(document)
    assert all(len(c["message"]) <= 4096 and c["message"] for c in document["conditions"])


@pytest.mark.parametrize("sentence", SITUATIONS)
def test_ready_is_never_true_when_something_before_it_is_not(world: Any, sentence: str) -> None:
    found = {c.type: c.status for c in status(SITUATIONS[sentence](world)).conditions or ()}
    if found["Ready"] == "True":
        assert {found[t] for t in ("PlanAccepted", "Provisioned", "PlacementVerified", "Serving")} == {"True"}
        assert found["Degraded"] == "False"
