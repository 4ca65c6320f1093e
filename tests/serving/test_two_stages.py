"""The real thing on one host: Ray with a head and two nodes, vLLM on CPU, one replica of two stages.

    python -m pytest -c serving_image/pyproject.toml tests/serving      (the Python of serving_image/environment.sh)

The tests run in order on one cluster; those at the end break it and see it come back.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs the serving environment (serving_image/environment.sh)")

import httpx

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "serving_image"))
from local_ray import LocalRay
from metrics_page import buckets, quantile, value
from rayspan_serving.stream import carries_output

KEY = "sk-of-the-test"
PROBE = "probe-of-the-test"
READY_SECONDS = 420
NOTICED_SECONDS = 6.0


def serve_config(model: Path, port: int) -> dict[str, Any]:
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "127.0.0.1", "port": port},
        "applications": [
            {
                "name": "tiny",
                "route_prefix": "/",
                "import_path": "rayspan_serving.app:build",
                "args": {
                    "llm_configs": [
                        {
                            "model_loading_config": {"model_id": "tiny", "model_source": str(model)},
                            "engine_kwargs": {
                                "tensor_parallel_size": 1,
                                "pipeline_parallel_size": 2,
                                "distributed_executor_backend": "ray",
                                "dtype": "float32",
                                "max_model_len": 512,
                                "compilation_config": {"mode": 2, "backend": "eager"},
                                "kv_cache_memory_bytes": 67108864,
                            },
                            "runtime_env": {
                                "env_vars": {
                                    "VLLM_RAY_BUNDLE_INDICES": "0,1",
                                    "VLLM_PP_LAYER_PARTITION": "3,5",
                                    "VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS": "60",
                                }
                            },
                            "placement_group_config": {
                                "strategy": "PACK",
                                "bundles": [{"GPU": 1}, {"GPU": 1}],
                            },
                            "deployment_config": {
                                "placement_group_bundle_label_selector": [
                                    {"rayspan.dev/stage": "0"},
                                    {"rayspan.dev/stage": "1"},
                                ],
                                "ray_actor_options": {"num_cpus": 0},
                            },
                        }
                    ],
                    "ingress_deployment_config": {
                        "max_replicas_per_node": 1,
                        "ray_actor_options": {"num_cpus": 0.1},
                        "health_check_period_s": 2,
                    },
                },
                "deployments": [
                    {"name": "LLMServer:tiny", "num_replicas": 1},
                    {"name": "OpenAiIngress", "num_replicas": 2},
                ],
            }
        ],
    }


@dataclass
class Answer:
    status: int
    headers: httpx.Headers
    seconds: float
    first_token: float | None = None
    gaps: list[float] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    body: dict[str, Any] = field(default_factory=dict)


@dataclass
class Service:
    ray: LocalRay
    client: httpx.Client

    def ask(self, stream: bool = True, tokens: int = 16, **more: Any) -> Answer:
        """One chat completion, timed as a client times it."""
        body = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "hello there"}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": stream,
        }
        headers = {"Authorization": f"Bearer {KEY}", **more.pop("headers", {})}
        began = time.perf_counter()
        with self.client.stream(
            "POST", "/v1/chat/completions", json={**body, **more}, headers=headers
        ) as response:
            answer = Answer(response.status_code, response.headers, 0.0)
            if "event-stream" in response.headers.get("content-type", ""):
                last = None
                for line in response.iter_lines():
                    if not line.startswith("data: {"):
                        continue
                    event = json.loads(line[6:])
                    if "error" in event:
                        answer.errors.append(event["error"])
                    elif carries_output(event):
                        now = time.perf_counter()
                        if last is None:
                            answer.first_token = now - began
                        else:
                            answer.gaps.append(now - last)
                        last = now
            else:
                answer.body = json.loads(response.read())
        answer.seconds = time.perf_counter() - began
        return answer

    def metrics(self) -> str:
        return "\n".join(node.metrics() for node in self.ray.nodes.values())

    def running(self) -> bool:
        return self.ray.application("tiny").get("status") == "RUNNING" and self.ask().status == 200


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    # Unix sockets of Ray allow paths of 107 characters: pytest's own folders are too long.
    folder = Path(f"/tmp/rayspan-{os.getpid()}")
    (folder / "ray").mkdir(parents=True)
    model = folder / "tiny"
    maker = Path(__file__).parents[2] / "dev" / "tiny_model.py"
    subprocess.run([sys.executable, maker, model, "--layers", "8"], check=True)
    keys = folder / "keys"
    keys.write_text(f"{KEY}\nsk-another\n")
    ray = LocalRay(folder / "ray", {"RAYSPAN_API_KEYS_FILE": str(keys), "RAYSPAN_PROBE_TOKEN": PROBE})
    try:
        ray.start(0, 1)
        ray.deploy(serve_config(model, ray.serve_port))
        with httpx.Client(base_url=f"http://127.0.0.1:{ray.serve_port}", timeout=90) as client:
            made = Service(ray, client)
            ray.wait_for(made.running, READY_SECONDS, every=1)
            yield made
    finally:
        ray.stop()


def test_each_stage_runs_on_the_node_with_its_label(service: Service) -> None:
    labels = {node["node_id"]: node["labels"] for node in service.ray.alive()}
    stages = {actor["name"][-3:]: actor["node_id"] for actor in service.ray.actors("RayWorkerProc")}
    assert {name: labels[node]["rayspan.dev/stage"] for name, node in stages.items()} == {
        "PP0": "0",
        "PP1": "1",
    }


def test_the_deployments_carry_the_names_that_the_operator_scales(service: Service) -> None:
    deployments = service.ray.application("tiny")["deployments"]
    counts = {name: deployment["target_num_replicas"] for name, deployment in deployments.items()}
    assert counts == {"LLMServer:tiny": 1, "OpenAiIngress": 2}


def test_a_completion_without_streaming(service: Service) -> None:
    answer = service.ask(stream=False)
    assert answer.status == 200
    assert answer.body["usage"]["completion_tokens"] == 16
    assert answer.body["choices"][0]["message"]["content"]


def test_without_the_key_nobody_enters(service: Service) -> None:
    for headers in ({"Authorization": "Bearer wrong"}, {"Authorization": ""}):
        answer = service.ask(headers=headers)
        assert answer.status == 401
        assert answer.body["error"]["type"] == "invalid_api_key"
    assert service.client.get("/-/healthz").status_code == 200


def test_a_key_is_exchanged_while_it_serves(service: Service) -> None:
    keys = service.ray.folder.parent / "keys"
    before = keys.read_text()
    keys.write_text("sk-new\n")
    new = {"Authorization": "Bearer sk-new"}
    service.ray.wait_for(lambda: service.ask(headers=new).status == 200, 30)
    service.ray.wait_for(lambda: service.ask().status == 401, 30)
    keys.write_text(before)
    service.ray.wait_for(lambda: service.ask().status == 200, 30)


def test_what_is_not_served_is_not_there(service: Service) -> None:
    headers = {"Authorization": f"Bearer {KEY}"}
    assert service.client.get("/v1/models", headers=headers).status_code == 200
    assert service.client.get("/v1/models/tiny", headers=headers).json()["id"] == "tiny"
    for path in (
        "/-/routes",
        "/openapi.json",
        "/docs",
        "/tokenize",
        "/sleep",
        "/metrics",
        "/v1/load_lora_adapter",
    ):
        answer = service.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, f"Invalid URL (GET {path})")


def test_what_is_wrong_with_a_request_is_said_as_openai_says_it(service: Service) -> None:
    answer = service.ask(model="nobody")
    assert (answer.status, answer.body["error"]["code"]) == (404, 404)
    answer = service.ask(messages="none")
    assert (answer.status, answer.body["error"]["type"]) == (400, "invalid_request_error")


def test_requests_go_straight_to_the_replica(service: Service) -> None:
    """Neither the ingress nor Serve's handles have a part in them, and the metrics name who served."""
    time.sleep(4)
    through_serve = "ray_serve_deployment_request_counter_total"
    served, ok = "ray_rayspan_requests_total", {"outcome": "ok"}
    before = service.metrics()
    answers = [service.ask(tokens=4), service.ask(tokens=4, stream=False), service.ask(tokens=4)]
    assert all(answer.status == 200 and answer.headers["x-rayspan-replica"] for answer in answers)
    assert all(answer.headers["x-request-id"] for answer in answers)
    time.sleep(4)
    after = service.metrics()
    assert value(served, after, **ok) - value(served, before, **ok) == len(answers)
    assert value(through_serve, after) == value(through_serve, before) > 0  # the list of models was Serve's


def test_a_client_that_leaves_frees_the_engine(service: Service) -> None:
    """After its first token of 400: the engine makes no more than it had begun with."""
    made, cancelled = "ray_vllm_generation_tokens_total", {"outcome": "cancelled"}
    time.sleep(4)
    before = service.metrics()
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 400}
    more = {"ignore_eos": True, "stream": True}
    headers = {"Authorization": f"Bearer {KEY}"}
    with service.client.stream(
        "POST", "/v1/chat/completions", json={**body, **more}, headers=headers
    ) as response:
        next(response.iter_lines())
    time.sleep(8)  # 400 tokens would have been made by then
    after = service.metrics()
    assert 0 < value(made, after) - value(made, before) < 200
    name = "ray_rayspan_requests_total"
    assert value(name, after, **cancelled) - value(name, before, **cancelled) == 1


def test_the_head_is_known_to_those_that_belong_to_it(service: Service) -> None:
    task = (
        "import ray; from rayspan_serving.proxy import head_answers;"
        f"ray.init(address='127.0.0.1:{service.ray.gcs_port}', log_to_driver=False);"
        "print(head_answers(), ray.get(ray.remote(head_answers).options(num_cpus=0).remote()))"
    )
    environment = service.ray.all_environment()
    done = subprocess.run([sys.executable, "-c", task], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["True", "True"], done.stderr[-2000:]


def test_percentiles_at_the_ingress_against_the_clients_clock(service: Service) -> None:
    """The counts are exact. The times differ by what the proxy and the client itself take, which is a few
    milliseconds on a quiet machine; here machines are busy, so the bound on time is wide."""
    for _ in range(5):
        service.ask()
    time.sleep(4)
    before = service.metrics()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: service.ask(), range(80)))
    service.ask(headers={"x-rayspan-probe": PROBE, "Authorization": ""})
    time.sleep(4)
    after = service.metrics()
    seen = {
        "time_to_first_token": [a.first_token for a in answers if a.first_token is not None],
        "inter_token_latency": [gap for a in answers for gap in a.gaps],
        "request_duration": [a.seconds for a in answers],
    }
    for name, values in seen.items():
        cumulative = buckets(f"ray_rayspan_{name}_seconds", before, after)
        assert cumulative[-1][1] == len(values), name
        for share in (0.5, 0.95, 0.99):
            client = sorted(values)[min(len(values) - 1, int(share * len(values)))]
            ingress = quantile(share, cumulative)
            print(f"{name} p{share * 100:g}: client {client * 1e3:.1f} ms, ingress {ingress * 1e3:.1f} ms")
            assert ingress <= client * 1.05 + 0.005


def test_the_stages_tell_how_long_they_work(service: Service) -> None:
    """Both take part in the same steps, and work less long on them than the client waits."""
    time.sleep(4)
    before = service.metrics()
    began = time.monotonic()
    for _ in range(10):
        service.ask(tokens=32)
    time.sleep(4)
    took, after = time.monotonic() - began, service.metrics()

    def grown(metric: str, stage: int) -> float:
        tags = {"stage": str(stage), "kind": "decode"}
        return value(f"ray_rayspan_stage_{metric}", after, **tags) - value(
            f"ray_rayspan_stage_{metric}", before, **tags
        )

    steps = [grown("steps_total", stage) for stage in (0, 1)]
    worked = [grown("seconds_total", stage) for stage in (0, 1)]
    assert steps[0] == steps[1] >= 10 * 31
    assert 0 < sum(worked) < took
    print(f"{steps[0]:.0f} steps of {[round(s / n * 1e3, 2) for s, n in zip(worked, steps, strict=True)]} ms")


def test_a_killed_stage_fails_requests_at_once_and_comes_back(service: Service) -> None:
    with ThreadPoolExecutor(2) as pool:
        long = [pool.submit(service.ask, tokens=400) for _ in range(2)]
        time.sleep(1.0)
        (stage,) = service.ray.nodes["node-1"].processes(r"^ray::RayWorkerProc")
        os.kill(stage, signal.SIGKILL)
        began = time.monotonic()
        broken = [request.result() for request in long]
        assert time.monotonic() - began < NOTICED_SECONDS
    assert all(answer.errors or answer.status == 503 for answer in broken)
    refused = service.ask()
    assert refused.seconds < NOTICED_SECONDS
    assert refused.status == 503
    assert refused.headers["retry-after"]
    assert refused.body["error"]["type"] == "service_unavailable"
    service.ray.wait_for(service.running, READY_SECONDS, every=1)
    print(f"served again {time.monotonic() - began:.0f} s after the kill")


def test_a_lost_node_fails_requests_at_once_and_a_new_one_takes_its_place(service: Service) -> None:
    with ThreadPoolExecutor(2) as pool:
        long = [pool.submit(service.ask, tokens=400) for _ in range(2)]
        time.sleep(1.0)
        service.ray.nodes["node-1"].kill()
        began = time.monotonic()
        for request in long:
            try:
                answer = request.result()
                assert answer.errors or answer.status == 503
            except httpx.TransportError:
                pass  # it had come in through the lost node's proxy
        assert time.monotonic() - began < NOTICED_SECONDS
    service.ray.add_stage("node-2", 1)
    service.ray.wait_for(service.running, READY_SECONDS, every=1)
    print(f"served again {time.monotonic() - began:.0f} s after the loss")


def test_a_stage_that_is_lost_while_there_is_no_head_fails_requests_at_once_too(service: Service) -> None:
    """Nobody tells then that the replica is gone, and nobody starts another."""
    service.ray.wait_for(service.running, READY_SECONDS, every=1)
    service.ray.nodes["head"].kill()
    service.ray.wait_for(lambda: service.ask().status == 200, 5)  # not through the head's own proxy
    (stage,) = service.ray.nodes["node-2"].processes(r"^ray::RayWorkerProc")
    with ThreadPoolExecutor(2) as pool:
        long = [pool.submit(service.ask, tokens=400) for _ in range(2)]
        time.sleep(1.0)
        os.kill(stage, signal.SIGKILL)
        began = time.monotonic()
        broken = [request.result() for request in long]
    assert time.monotonic() - began < NOTICED_SECONDS
    assert all(answer.errors or answer.status == 503 for answer in broken)
    for _ in range(3):
        refused = service.ask()
        assert (refused.status, refused.seconds < NOTICED_SECONDS) == (503, True), refused
