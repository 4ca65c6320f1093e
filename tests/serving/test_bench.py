"""The load itself: vLLM's real benchmark against a real HTTP server that stands in for the serving path."""

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rayspan.cli.bench.record import Level
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SERVING_IMAGE = Path(__file__).parents[2] / "serving_image"
GAP_SECONDS = 0.02
OUTPUT_TOKENS = 5


class StandIn(BaseHTTPRequestHandler):
    """Streams tokens 20 ms apart, as vLLM's completions endpoint does. Of the requests that carry no key, none is
    answered; every seventh answer breaks off."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]]
    lock = threading.Lock()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if self.path != "/v1/completions" or self.headers.get("Authorization") != "Bearer secret":
            self.send_response(401 if self.path == "/v1/completions" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with self.lock:
            self.asked.append(body)
            broken = len(self.asked) % 7 == 0
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(2 if broken else body["max_tokens"]):
            time.sleep(GAP_SECONDS)
            self.event({"choices": [{"index": 0, "text": f"w{number} "}]})
        if not broken:
            self.event(
                {"choices": [], "usage": {"completion_tokens": body["max_tokens"], "prompt_tokens": 8}}
            )
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def do_GET(self) -> None:
        self.do_POST()

    def event(self, content: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(content)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Nothing on the tests' output."""


def tokenizer(folder: Path) -> str:
    words = {f"w{number}": number for number in range(500)}
    known = Tokenizer(models.WordLevel(words, unk_token="w0"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=known).save_pretrained(folder)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return str(folder)


def test_two_levels_in_time_with_an_answer_that_breaks_off(tmp_path: Path) -> None:
    StandIn.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    asked = {
        "url": f"http://127.0.0.1:{server.server_port}/v1",
        "model": "tiny",
        "tokenizer": tokenizer(tmp_path),
        "levels": [1, 4],
        "requests": [10_000, 12],
        "seconds": 3,
        "inputTokens": 8,
        "outputTokens": OUTPUT_TOKENS,
        "seed": 7,
    }
    environment = {**os.environ, "PYTHONPATH": str(SERVING_IMAGE), "OPENAI_API_KEY": "secret\n"}
    done = subprocess.run(
        [sys.executable, "-m", "rayspan_serving.bench"],
        env={**environment, "RAYSPAN_BENCH": json.dumps(asked)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    server.shutdown()
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout) < 10_000

    alone, four = (line["level"] for line in lines if "level" in line)
    assert [Level.model_validate(each).document() for each in (alone, four)] == [alone, four], (
        "as the operator reads it"
    )
    # The first level ends by its time, the second by its number of requests.
    assert 3 <= alone["seconds"] < 4 and alone["unsent"] > 9000
    assert (four["concurrency"], four["requests"] + four["failed"], four["unsent"]) == (4, 12, 0)
    assert sum(each["requests"] + each["failed"] for each in (alone, four)) == len(StandIn.asked) - 1
    assert {error["message"] for error in alone["errors"]} == {"the answer broke off after 2 of 5 tokens"}
    assert alone["errors"][0]["count"] == alone["failed"] > 0

    # Tokens come 20 ms apart, whatever the load.
    for level in (alone, four):
        assert GAP_SECONDS <= level["interTokenLatency"]["p50Seconds"] < 2 * GAP_SECONDS
        assert GAP_SECONDS * OUTPUT_TOKENS <= level["endToEnd"]["p50Seconds"] < 0.4
        for name, each in (
            ("timeToFirstToken", 1),
            ("interTokenLatency", OUTPUT_TOKENS - 1),
            ("endToEnd", 1),
        ):
            latency = level[name]
            assert sum(bucket["count"] for bucket in latency["histogram"]) == latency["samples"]
            assert latency["samples"] == each * level["requests"]
            assert latency["p50Seconds"] <= latency["p95Seconds"] <= latency["p99Seconds"]
            assert latency["p99Seconds"] <= latency["histogram"][-1]["upToSeconds"]
    assert four["outputTokensPerSecond"] > 2 * alone["outputTokensPerSecond"]

    assert {line["progress"]["concurrency"] for line in lines if "progress" in line} == {1}
    assert lines[0]["tool"].startswith("vllm bench serve 0.") and lines[-1] == {"done": True}
    assert {(body["model"], body["max_tokens"], body["ignore_eos"]) for body in StandIn.asked} == {
        ("tiny", 5, True)
    }
    # A prompt twice, by chance among 500 words, would be answered from the prefix cache: seldom, and not by level.
    assert len({body["prompt"] for body in StandIn.asked}) > 0.7 * len(StandIn.asked)
