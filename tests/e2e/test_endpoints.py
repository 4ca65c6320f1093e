"""What a pod that has no business there reaches of a deployment: the served routes and nothing else.

Two things stand in its way, and each is tested by itself: the network, where it enforces the operator's NetworkPolicies,
and then nothing but the serving port is reached, with a token or without; and Ray's token, where the network lets
everything through. ``INNER`` says what the second alone is good for: what answers without a token there is what the
policies are needed for. ``SERVING`` is asked through the Service by whoever likes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.e2e.foreign_pod import NOT_REACHED, SILENT, ForeignPod, Question, listening
from tests.e2e.llm import LLM, NAMESPACE, wait_for
from tests.kubectl import apply, get, kubectl

SERVING_PORT: Final = 8000
HEAD, STAGE = "head", "stage"

INNER: Final = """
| pod   | port  | request                                | no token | wrong token | token   |
|-------|-------|----------------------------------------|----------|-------------|---------|
| head  | 8265  | GET /api/version                       | 401      | 403         | 200     |
| head  | 8265  | GET /api/jobs/                         | 401      | 403         | 200     |
| head  | 8265  | POST /api/jobs/                        | 401      | 403         | 400     |
| head  | 8265  | GET /api/serve/applications/           | 401      | 403         | 200     |
| head  | 8265  | PUT /api/serve/applications/           | 401      | 403         | 400     |
| head  | 8265  | GET /api/v0/actors                     | 401      | 403         | 200     |
| head  | 8265  | GET /api/v0/nodes                      | 401      | 403         | 200     |
| head  | 8265  | GET /api/v0/logs                       | 401      | 403         | any     |
| head  | 8265  | GET /nodes?view=summary                | 401      | 403         | 200     |
| head  | 8265  | GET /api/prometheus/sd                 | 401      | 403         | 200     |
| head  | 8265  | GET /api/healthz                       | any      | any         | any     |
| head  | 6379  | the GCS                                | open     | open        | open    |
| head  | 8080  | GET /metrics                           | 200      | 200         | 200     |
| head  | 52365 | GET /api/job_agent/jobs/               | 401      | 403         | any     |
| head  | 52365 | GET /api/local_raylet_healthz          | any      | any         | any     |
| head  | 8000  | GET /-/healthz                         | 200      | 200         | 200     |
| head  | 8000  | GET /-/routes                          | 404      | 404         | 404     |
| head  | 8000  | POST /v1/chat/completions              | 404      | 404         | 404     |
| stage | 8080  | GET /metrics                           | 200      | 200         | 200     |
| stage | 52365 | GET /api/job_agent/jobs/               | 401      | 403         | any     |
| stage | 52365 | GET /api/local_raylet_healthz          | any      | any         | any     |
"""
"""Where the network lets everything through. ``any``: connected, whatever is said; ``open``: connected, no HTTP."""

SERVING: Final = """
| request                                | answer |
|----------------------------------------|--------|
| GET /-/healthz                         | 200    |
| GET /v1/models                         | 200    |
| GET /v1/models/tiny                    | 200    |
| GET /-/routes                          | 404    |
| GET /                                  | 404    |
| GET /docs                              | 404    |
| GET /openapi.json                      | 404    |
| GET /metrics                           | 404    |
| GET /health                            | 404    |
| GET /version                           | 404    |
| GET /server_info                       | 404    |
| POST /tokenize                         | 404    |
| POST /detokenize                       | 404    |
| POST /reset_prefix_cache               | 404    |
| POST /reset_mm_cache                   | 404    |
| POST /sleep                            | 404    |
| POST /wake_up                          | 404    |
| GET /is_sleeping                       | 404    |
| POST /collective_rpc                   | 404    |
| POST /start_profile                    | 404    |
| POST /stop_profile                     | 404    |
| POST /scale_elastic_ep                 | 404    |
| POST /v1/load_lora_adapter             | 404    |
| POST /v1/unload_lora_adapter           | 404    |
| POST /invocations                      | 404    |
| POST /internal/route                   | 404    |
| GET /api/version                       | 404    |
| POST /api/jobs/                        | 404    |
"""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    cells: tuple[str, ...]

    @property
    def request(self) -> tuple[str, str]:
        """Method and path of the cell that holds a request; of what is no HTTP a request all the same."""
        (cell,) = (one for one in self.cells if "/" in one or one.startswith("the "))
        method, _, path = cell.partition(" ")
        return ("GET", "/") if method == "the" else (method, path)


def rows(table: str) -> list[Row]:
    """A table's lines, without its head."""
    lines = table.strip().splitlines()[2:]
    return [Row(tuple(cell.strip() for cell in line.strip("|").split("|"))) for line in lines]


@pytest.fixture(scope="module")
def foreign(llm: LLM) -> Iterator[ForeignPod]:
    """A pod in the deployment's own namespace, which is the nearest that a stranger gets."""
    pod = ForeignPod(NAMESPACE, "foreign")
    pod.start()
    yield pod
    pod.delete()


@pytest.fixture(scope="module")
def enforced(foreign: ForeignPod) -> Iterator[bool]:
    """Whether this cluster's network enforces NetworkPolicies, found out with a pod and a policy of our own."""
    shut = ForeignPod(NAMESPACE, "shut")
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "shut", "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": {"tests": "shut"}}, "policyTypes": ["Ingress"]},
    }
    shut.start(tests="shut")
    try:
        server = (
            "-n",
            NAMESPACE,
            "exec",
            "shut",
            "--",
            "sh",
            "-c",
            "python3 -m http.server 9999 >/dev/null 2>&1 &",
        )
        kubectl(*server)
        question = [Question(shut.address, 9999)]
        wait_for("the server to be reached", lambda: foreign.ask(question) != [NOT_REACHED], 60)
        apply(policy)
        try:
            wait_for("the policy to be enforced", lambda: foreign.ask(question) == [NOT_REACHED], 30)
            found = True
        except AssertionError:
            found = False
    finally:
        kubectl("-n", NAMESPACE, "delete", "networkpolicy", "shut", "--ignore-not-found")
        shut.delete()
    print(f"\nNetworkPolicies are {'enforced' if found else 'NOT enforced'} here")
    yield found


def addresses(llm: LLM) -> dict[str, str]:
    """Addresses of the head and of a stage pod."""
    stage = get("-n", NAMESPACE, "pod", llm.stage_pod(0))
    return {HEAD: llm.head()["status"]["podIP"], STAGE: stage["status"]["podIP"]}


def ray_token(llm: LLM) -> str:
    """The deployment's own, which a stranger should not have."""
    secret = get("-n", NAMESPACE, "secret", f"{llm.name}-ray-token")
    return base64.b64decode(secret["data"]["auth_token"]).decode()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Both headers that Ray takes it by."""
    return (("Authorization", f"Bearer {token}"), ("x-ray-authorization", f"Bearer {token}"))


def inner_questions(llm: LLM, headers: tuple[tuple[str, str], ...]) -> list[Question]:
    """What INNER asks. No application and no job is made of this body: with a token it is refused for what it is."""
    hosts, asked = addresses(llm), []
    for row in rows(INNER):
        method, path = row.request
        body = '{"applications": 1}' if method in ("POST", "PUT") else None
        more = (("Content-Type", "application/json"),) if body else ()
        asked.append(Question(hosts[row.cells[0]], int(row.cells[1]), method, path, body, headers + more))
    return asked


def fits(wanted: str, answer: str) -> bool:
    """Whether an answer is what a cell of a table says."""
    if wanted == "open":
        return answer == SILENT
    return answer != NOT_REACHED if wanted == "any" else answer.startswith(f"{wanted} ")


TOKENS: Final = ("no token", "wrong token", "token")


@pytest.mark.parametrize("held", TOKENS)
def test_inner_endpoints_from_a_foreign_pod_with(
    llm: LLM, foreign: ForeignPod, enforced: bool, held: str
) -> None:
    headers = {"no token": (), "wrong token": bearer("0" * 64), "token": bearer(ray_token(llm))}[held]
    answers = foreign.ask(inner_questions(llm, headers))
    column = 3 + TOKENS.index(held)
    wrong = []
    print(f"\nwith {held}:")
    for row, answer in zip(rows(INNER), answers, strict=True):
        wanted = NOT_REACHED if enforced else row.cells[column]
        good = answer == NOT_REACHED if enforced else fits(wanted, answer)
        line = f"{row.cells[0]:6}{row.cells[1]:6} {row.cells[2]:32} {answer[:60]!r}"
        print(line if good else f"{line}   WANTED: {wanted}")
        wrong += [] if good else [line]
    assert not wrong


def test_no_port_that_listens_is_reached_but_the_serving_port_of_stages(
    llm: LLM, foreign: ForeignPod, enforced: bool
) -> None:
    """All that listen, as the pods' own kernels say: GCS, object and node managers, agents, workers of Ray, and the
    sockets of vLLM's ranks, whose numbers nobody chose."""
    asked: list[Question] = []
    pods = {HEAD: llm.head()["metadata"]["name"], "stage 0": llm.stage_pod(0), "stage 1": llm.stage_pod(1)}
    named: list[str] = []
    for what, name in pods.items():
        address = get("-n", NAMESPACE, "pod", name)["status"]["podIP"]
        found = sorted(listening(NAMESPACE, name, "ray"))
        print(f"\n{what} listens on {found}")
        assert {8080, 52365, SERVING_PORT} <= set(found)
        asked += [Question(address, port) for port in found]
        named += [f"{what} {port}" for port in found]
    answers = foreign.ask(asked)
    reached = {one for one, answer in zip(named, answers, strict=True) if answer != NOT_REACHED}
    if not enforced:
        pytest.skip(
            f"this network enforces no NetworkPolicy: {len(reached)} of {len(named)} ports were reached"
        )
    assert reached == {f"stage 0 {SERVING_PORT}", f"stage 1 {SERVING_PORT}"}


@pytest.mark.parametrize("held", ("no token", "token"))
def test_the_serving_port_from_a_foreign_pod_with(llm: LLM, foreign: ForeignPod, held: str) -> None:
    """It is open to all here, and it answers what it serves: Ray's token makes no difference."""
    headers = bearer(ray_token(llm)) if held == "token" else ()
    service = get("-n", NAMESPACE, "service", f"{llm.name}-serve-svc")["spec"]["clusterIP"]
    questions = [Question(service, SERVING_PORT, *row.request, None, headers) for row in rows(SERVING)]
    wrong = []
    for row, answer in zip(rows(SERVING), foreign.ask(questions), strict=True):
        print(f"{row.cells[0]:34} {answer[:70]!r}")
        said = "Invalid URL" in answer if row.cells[1] == "404" else True
        wrong += [] if fits(row.cells[1], answer) and said else [f"{row.cells[0]}: {answer}"]
    assert not wrong


def test_only_those_who_are_named_reach_the_serving_port(
    llm: LLM, foreign: ForeignPod, enforced: bool
) -> None:
    if not enforced:
        pytest.skip("this network enforces no NetworkPolicy")
    service = get("-n", NAMESPACE, "service", f"{llm.name}-serve-svc")["spec"]["clusterIP"]
    question = [Question(service, SERVING_PORT, path="/v1/models")]
    uids = llm.uids()
    friend = ForeignPod(NAMESPACE, "friend")
    friend.start(tests="friend")
    try:
        llm.patch('{"spec":{"serving":{"allowFrom":[{"podSelector":{"matchLabels":{"tests":"friend"}}}]}}}')
        wait_for("the stranger to be shut out", lambda: foreign.ask(question) == [NOT_REACHED], 60)
        (answer,) = friend.ask(question)
        assert answer.startswith("200 ")
        llm.wait("Ready", timeout=120)
    finally:
        llm.patch('{"spec":{"serving":{"allowFrom":null}}}')
        friend.delete()
    wait_for("the port to be open again", lambda: foreign.ask(question)[0].startswith("200 "), 60)
    assert llm.uids() == uids


def test_who_looks_like_kuberay_reaches_the_dashboard_and_is_stopped_by_the_token(
    llm: LLM, foreign: ForeignPod, enforced: bool
) -> None:
    """The chart's value rayPods.networkPolicy.kuberay narrows it down to a namespace."""
    if not enforced:
        pytest.skip("this network enforces no NetworkPolicy")
    guise = ForeignPod(NAMESPACE, "guise")
    guise.start(**{"app.kubernetes.io/component": "kuberay-operator"})
    try:
        head = addresses(llm)[HEAD]
        wait_for(
            "the dashboard to be reached",
            lambda: guise.ask([Question(head, 8265, path="/api/jobs/")])[0].startswith("401 "),
            30,
        )
        assert guise.ask([Question(head, port) for port in (6379, 8080, 52365)]) == [NOT_REACHED] * 3
    finally:
        guise.delete()
