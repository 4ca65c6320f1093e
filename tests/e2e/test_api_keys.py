"""API keys of a Secret that the kubelet renews in running pods: exchanged while a client asks, without a failure."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.llm import LLM, NAMESPACE, wait_for
from tests.kubectl import apply, kubectl

pytestmark = pytest.mark.long

SECRET = "e2e-keys"
RENEWED_SECONDS = 180
"""The kubelet looks at a Secret once a minute, and again as late as that when it holds it in its cache."""


def keys(*lines: str) -> None:
    """Have the Secret hold these."""
    apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": NAMESPACE},
            "stringData": {"keys": "\n".join(lines) + "\n"},
        }
    )


def answer(llm: LLM, key: str | None) -> int:
    """The status of a completion."""
    body = {"model": "tiny", "prompt": "Hi", "max_tokens": 1}
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(f"{llm.address()}/completions", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@contextmanager
def asking(llm: LLM, key: str) -> Iterator[list[int]]:
    """A client that asks without pause; the statuses so far."""
    statuses: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            statuses.append(answer(llm, key))
            time.sleep(0.2)

    client = threading.Thread(target=ask)
    client.start()
    try:
        yield statuses
    finally:
        stop.set()
        client.join()


def test_a_key_is_exchanged_without_an_outage_and_without_a_restart(llm: LLM) -> None:
    keys("sk-old")
    try:
        llm.patch(f'{{"spec":{{"serving":{{"apiKeySecret":{{"name":"{SECRET}","key":"keys"}}}}}}}}')
        llm.wait("Ready", timeout=700)
        pods = llm.uids()
        assert [answer(llm, key) for key in (None, "sk-wrong", "sk-new", "sk-old")] == [401, 401, 401, 200]
        with asking(llm, "sk-old") as old:
            keys("sk-new", "sk-old")
            # Several times in a row: each stage pod has its own copy, and the Service takes them in turn.
            wait_for(
                "the new key to be good everywhere",
                lambda: all(answer(llm, "sk-new") == 200 for _ in range(10)),
                RENEWED_SECONDS,
            )
        with asking(llm, "sk-new") as new:
            keys("sk-new")
            wait_for(
                "the old key to be good nowhere",
                lambda: all(answer(llm, "sk-old") == 401 for _ in range(10)),
                RENEWED_SECONDS,
            )
        assert set(old) == set(new) == {200}
        assert llm.uids() == pods
        assert llm.is_("Ready")
        logs = kubectl("-n", NAMESPACE, "logs", "-c", "ray", llm.stage_pod(0), "--tail=-1")
        assert "sk-old" not in logs and "sk-new" not in logs
    finally:
        llm.patch('{"spec":{"serving":{"apiKeySecret":null}}}')
        kubectl("-n", NAMESPACE, "delete", "secret", SECRET, "--ignore-not-found")
    llm.wait("Ready", timeout=700)
