"""A hub of one model on this machine, in place of huggingface.co: to inject what a real one cannot be asked for.

It refuses a model as gated, or hands out the weights slowly. What asks it is real: huggingface_hub in the pods.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 40
GATED = "org/gated"
SLOW = "org/slow"


class Hub(BaseHTTPRequestHandler):
    model: Path
    bytes_per_second: float
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if GATED in self.path:
            self.answer(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        elif re.match(rf"/api/models/{SLOW}/tree/[^/?]+/", self.path):  # of a folder, and it has none
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
        elif self.path.startswith(f"/api/models/{SLOW}/tree/"):
            tree = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "0" * 40}
                for file in sorted(self.model.iterdir())
            ]
            self.answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith(f"/api/models/{SLOW}"):
            files = [{"rfilename": file.name} for file in sorted(self.model.iterdir())]
            found = {
                "id": SLOW,
                "sha": COMMIT,
                "siblings": files,
                "tags": [],
                "private": False,
                "gated": False,
            }
            self.answer(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
        elif found_file := re.fullmatch(rf"/{SLOW}/resolve/[^/]+/([\w.]+)", self.path.partition("?")[0]):
            self.file(self.model / found_file[1])
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def file(self, path: Path) -> None:
        if not path.exists():
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            return
        content = path.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{min(last, len(content) - 1)}/{len(content)}"
            content = content[first : last + 1]
        self.answer(206 if wanted else 200, content, headers)

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        part = max(1, int(self.bytes_per_second / 10))
        for begin in range(0, len(content), part):
            self.wfile.write(content[begin : begin + part])
            if len(content) > 1_000_000:  # the weights
                time.sleep(0.1)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def hub(model: Path, bytes_per_second: float) -> Iterator[int]:
    """Runs it on all of this machine's addresses; gives its port."""
    handler = type("Handler", (Hub,), {"model": model, "bytes_per_second": bytes_per_second})
    server = ThreadingHTTPServer(("0.0.0.0", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
