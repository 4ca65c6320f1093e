"""When a pod that goes away may end: nothing runs here, nothing is in flight here, and that for a while."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from rayspan_serving.drain import Look, at_work, in_flight, metered, told, wait
from rayspan_serving.raylet import Process, Raylet

RAYLET = Raylet(8, "abc", "10.0.0.1:6379", 8080)
LABELS = '{WorkerId="a",model="tiny"}'
SERVE = 'ray_serve_num_ongoing_http_requests{node_id="abc"}'
PAGES = {
    "no metric of ours": ("ray_node_mem_used 5\n", 0.0),
    "idle": (f"{SERVE} 0.0\nray_rayspan_requests_in_flight{LABELS} 0.0\n", 0.0),
    "two proxies, one after the other": (
        'ray_rayspan_requests_in_flight{a="1"} 1.0\nray_rayspan_requests_in_flight{a="2"} 2.0\n',
        3.0,
    ),
    "a request that is not measured": (f"{SERVE} 1.0\nray_rayspan_requests_in_flight{LABELS} 0.0\n", 1.0),
    "the same request seen twice counts once": (
        f"{SERVE} 1.0\nray_rayspan_requests_in_flight{LABELS} 1.0\n",
        1.0,
    ),
    "an ingress here has a request of another pod's proxy": (
        f'{SERVE} 0.0\nray_serve_replica_processing_queries{{replica="x"}} 1.0\n',
        1.0,
    ),
    "words where a number should be": (f"{SERVE} what\n", 0.0),
    "a longer name is another metric": ("ray_serve_num_ongoing_http_requests_total 4.0\n", 0.0),
}


@pytest.mark.parametrize("case", PAGES)
def test_in_flight(case: str) -> None:
    page, expected = PAGES[case]
    assert in_flight(page) == expected


TITLES = {
    "an ingress and an engine are asked by other means": ("ray::ServeReplica:chat:OpenAiIngress", 8, False),
    "a stage": ("ray::RayWorkerProc.run", 8, True),
    "the proxy is asked by other means": ("ray::ProxyActor", 8, False),
    "an idle worker": ("ray::IDLE", 8, False),
    "a stage of another node on this machine": ("ray::RayWorkerProc.run", 9, False),
}


@pytest.mark.parametrize("case", TITLES)
def test_at_work(case: str) -> None:
    title, parent, expected = TITLES[case]
    assert at_work(RAYLET, iter([Process(1, 0, ("",)), Process(20, parent, (title,))])) is expected


TELLS = {
    "nothing came or went": (None, False),
    "none left": ("0", False),
    "some": ("2", True),
    "just being written": ("", True),
}


@pytest.mark.parametrize("case", TELLS)
def test_what_the_proxy_told(case: str, tmp_path: Path) -> None:
    text, expected = TELLS[case]
    if text is not None:
        (tmp_path / "requests").write_text(text)
    assert told(tmp_path / "requests") is expected


ANSWERS = {
    "a page that knows of none": (f"HTTP/1.0 200 OK\r\n\r\n{SERVE} 0.0\n", False),
    "a page that knows of one": (f"HTTP/1.0 200 OK\r\n\r\n{SERVE} 1.0\n", True),
    "an error tells nothing, and is no sign of rest": ("HTTP/1.0 500 Internal Server Error\r\n\r\n", True),
    "nor is an answer that breaks off": ("HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\nray", True),
    "nor is none": ("", True),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_the_metrics_are_asked(case: str) -> None:
    answer, expected = ANSWERS[case]
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, answer))
        thread.start()
        assert metered(server.getsockname()[1]) is expected
        thread.join()


def test_nobody_at_the_metrics_port_is_a_sign_of_rest() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert metered(port) is False


def _serve(server: socket.socket, answer: str) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer.encode())


Steps = list[tuple[float, str]]
"""From when on a look finds what: w(ork), r(equests), s(ilent head)."""
ENDS: dict[str, tuple[Steps, float, str]] = {
    "an idle node ends when the metrics had time to tell": ([(0, "")], 2.5, "nothing is in flight"),
    "a moment between two requests is not believed": (
        [(0, "r"), (3, ""), (3.5, "r"), (5, "")],
        7.5,
        "nothing is in flight",
    ),
    "a replica that still runs may be given a request": ([(0, "w"), (6, "")], 6, "nothing is in flight"),
    "stages of a replica, then the last bytes of its answers": (
        [(0, "wr"), (4, "r"), (5, "")],
        7.5,
        "nothing is in flight",
    ),
    "the head is gone: nothing more can be learned": ([(0, "wr"), (4, "wrs")], 4.5, "the head is gone"),
    "one connection that fails is not the end of the head": (
        [(0, "wr"), (4, "wrs"), (4.5, "wr"), (6, "")],
        8.5,
        "nothing is in flight",
    ),
    "a stream that does not end": ([(0, "r")], 20, "its time is over"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_node_ends(case: str) -> None:
    steps, ends_at, why = ENDS[case]
    at = 0.0

    def look() -> Look:
        found = next(what for since, what in reversed(steps) if since <= at)
        return Look(at, "w" in found, "r" in found, "s" not in found)

    def sleep(seconds: float) -> None:
        nonlocal at
        at += seconds

    assert wait(look, 20, lambda: at, sleep) == why
    assert at == ends_at
