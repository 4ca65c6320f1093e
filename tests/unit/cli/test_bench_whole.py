"""The whole command, in a process of its own, against an HTTP server that stands in for the Kubernetes API."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.cli.measured import DIAGNOSIS, ENVIRONMENT, level

GROUP = "/apis/rayspan.dev/v1alpha1/namespaces/default/llmdeployments"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
PODS = "/api/v1/namespaces/default/pods"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "R",
    "message": "m",
    "lastTransitionTime": "2026-01-31T12:00:00Z",
}
LEVELS = (level(1, 100), level(2, 190), level(4, 195))
LOG = "\n".join(
    [
        json.dumps({"tool": "vllm bench serve 0.29.0"}),
        *(json.dumps({"level": each.model_dump(by_alias=True, mode="json")}) for each in LEVELS),
        json.dumps({"done": True}),
    ]
)


def deployment(looks: int) -> dict[str, Any]:
    return {
        "apiVersion": "rayspan.dev/v1alpha1",
        "kind": "LLMDeployment",
        "metadata": {"name": "llama", "namespace": "default", "uid": "u", "generation": 3},
        "spec": {"model": {"id": "llama", "source": "hf://meta-llama/Llama"}},
        "status": {
            "url": "http://llama-serve-svc.default.svc:8000/v1",
            "conditions": [READY],
            "environment": {**ENVIRONMENT, "image": "serving:1"},
            "diagnosis": DIAGNOSIS,
            "latency": {"window": "5m", "requests": 1, "observedAt": f"2026-01-31T12:00:{looks:02}Z"},
        },
    }


class Api(BaseHTTPRequestHandler):
    server: Server

    def answer(self, content: Any, status: int = 200) -> None:
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == f"{GROUP}/llama":
            self.server.looks += 1
            self.answer(deployment(self.server.looks))
        elif path == PODS and "job-uid" in query:
            state = {"running": {}} if self.server.endless else {"terminated": {"exitCode": 0}}
            statuses = [{"name": "bench", "state": state}]
            self.answer({"items": [{"metadata": {"name": "p"}, "status": {"containerStatuses": statuses}}]})
        elif self.path == f"{PODS}/p/log?container=bench":
            self.server.followed.set()
            self.answer("" if self.server.endless else LOG)
        else:
            self.answer({"kind": "Status", "details": {"name": path.rpartition("/")[2]}}, 404)

    def do_POST(self) -> None:
        self.server.made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        meta = {**self.server.made["metadata"], "uid": "job-uid"}
        self.answer({**self.server.made, "metadata": meta} if self.path.startswith(JOBS) else {}, 201)

    def do_DELETE(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.deleted.append(f"{self.path} {body['preconditions']['uid']}")
        self.answer({})

    def log_message(self, *_: Any) -> None:
        """Nothing on the tests' output."""


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Api)
        self.looks = 0
        self.made: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.endless = False
        self.followed = threading.Event()


@pytest.fixture
def api() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def command(api: Server, folder: Path, *arguments: str) -> list[str]:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{api.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "config").write_text(yaml.safe_dump(kubeconfig))
    program = [sys.executable, "-m", "rayspan.cli.main", "bench"]
    return [*program, *arguments, "--kubeconfig", str(folder / "config")]


def bench(api: Server, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(api, folder, *arguments), capture_output=True, text=True, cwd=folder)


def test_from_the_command_line_to_the_files(api: Server, tmp_path: Path) -> None:
    done = bench(api, tmp_path, "llama", "--levels", "1,2,4", "--seconds", "20")
    assert done.returncode == 0, done.stderr
    assert "saturation: 2 requests at a time, 190 tokens/s: with 4 a doubling brings +3%" in done.stdout
    assert "level 2 of 3, 2 at a time: 100 answered, 0 failed in 30 s, 190 tokens/s" in done.stderr
    (result,) = tmp_path.glob("llama-bench-*.json")
    assert re.search(rf"written: {result.name}, llama-bench-[0-9-]+\.html", done.stderr)
    document = json.loads(result.read_text())
    assert document["metadata"]["generation"] == 3 and document["diagnosis"] == DIAGNOSIS
    assert document["environment"] == {**ENVIRONMENT, "image": "serving:1"}
    assert [each["verdict"] for each in document["levels"]] == ["Engine"] * 3

    asked = api.made["spec"]["template"]["spec"]["containers"][0]
    assert asked["image"] == "serving:1"
    question = json.loads(next(each["value"] for each in asked["env"] if each["name"] == "RAYSPAN_BENCH"))
    assert (question["levels"], question["seconds"], question["tokenizer"]) == (
        [1, 2, 4],
        20,
        "meta-llama/Llama",
    )
    assert api.deleted == [f"{JOBS}/llama-bench job-uid"]


def test_a_deployment_that_is_not_there(api: Server, tmp_path: Path) -> None:
    done = bench(api, tmp_path, "other")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "rayspan: there is no LLMDeployment 'other' in namespace 'default': see `kubectl get llm -A`\n"
    )


def test_an_interruption_deletes_the_job(api: Server, tmp_path: Path) -> None:
    api.endless = True
    # What a shell starts in the background ignores SIGINT, and so would all that the tests start there.
    heeding = ["env", "--default-signal=INT", *command(api, tmp_path, "llama")]
    with subprocess.Popen(heeding, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert api.followed.wait(30)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, "Traceback" in told) == (130, False), told
    assert api.deleted == [f"{JOBS}/llama-bench job-uid"]
