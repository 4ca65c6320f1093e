"""What /proc tells of the raylet and of its head."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from rayspan_serving.raylet import Process, Raylet, answers, connected, processes, raylets

NAME = "chat-head-svc.models.svc.cluster.local:6379"
TITLES = "  sl  local_address rem_address   st tx_queue rx_queue"
V4 = "   0: 0A00F40A:A1B2 0100F40A:18EB {} 00000000:00000000"
MAPPED = (
    "   0: 0000000000000000FFFF00000A00F40A:A1B2 0000000000000000FFFF00000100F40A:18EB 01 00000000:00000000"
)
V6 = "   0: B80D0120000000000000000002000000:A1B2 B80D0120000000000000000001000000:18EB 01 00000000:00000000"
CONNECTIONS: dict[str, tuple[str, str, str]] = {
    "a connection to the head tells its address": (V4.format("01"), "", "10.244.0.1:6379"),
    "as gRPC opens it, an IPv4 address in the other table": ("", MAPPED, "10.244.0.1:6379"),
    "IPv6": ("", V6, "[2001:db8::1]:6379"),
    "one that is being closed tells nothing": (V4.format("06"), "", NAME),
    "another port is another service": (V4.format("01").replace("18EB", "1F90"), "", NAME),
    "none": ("", "", NAME),
}


@pytest.mark.parametrize("case", CONNECTIONS)
def test_the_head_is_where_the_raylet_is_connected_to(case: str, tmp_path: Path) -> None:
    v4, v6, expected = CONNECTIONS[case]
    (tmp_path / "tcp").write_text(f"{TITLES}\n{v4}")
    (tmp_path / "tcp6").write_text(f"{TITLES}\n{v6}")
    assert connected(NAME, tmp_path) == expected


def test_without_tables_the_name_has_to_do(tmp_path: Path) -> None:
    assert connected(NAME, tmp_path) == NAME


def test_processes_have_titles_parents_and_odd_names(tmp_path: Path) -> None:
    for pid, title in ((7, "ray::ServeReplica:chat:OpenAiIngress"), (8, "raylet\0--node_id=abc\0")):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "cmdline").write_text(title)
        (folder / "stat").write_text(f"{pid} (a ) name) S 3 1 1")
    (tmp_path / "9").mkdir()
    (tmp_path / "net").mkdir()
    assert sorted(processes(tmp_path), key=lambda p: p.pid) == [
        Process(7, 3, ("ray::ServeReplica:chat:OpenAiIngress",)),
        Process(8, 3, ("raylet", "--node_id=abc")),
    ]


def test_the_raylet_tells_its_node_in_its_command_line() -> None:
    command = (
        "/x/ray/core/src/ray/raylet/raylet",
        "--node_id=abc",
        "--metrics_export_port=8080",
        "--gcs-address=10.0.0.1:6379",
    )
    others = Process(7, 1, ("python", "--node_id=no"))
    assert list(raylets(iter([others, Process(8, 1, command)]))) == [Raylet(8, "abc", "10.0.0.1:6379", 8080)]


def test_a_raylet_of_another_release_is_left_alone() -> None:
    assert list(raylets(iter([Process(8, 1, ("raylet", "--something=else"))]))) == []


def test_an_address_answers_while_something_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)


@pytest.mark.parametrize("address", ["", "127.0.0.1:", "127.0.0.1:port"])
def test_nonsense_does_not_answer(address: str) -> None:
    assert not answers(address)
