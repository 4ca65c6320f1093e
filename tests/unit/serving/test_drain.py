import pytest
from rayspan_serving.drain import Process, Raylet, in_flight, raylets

LABELS = '{WorkerId="a",model="tiny"}'
PAGES = {
    "no metric of ours": ("ray_node_mem_used 5\n", 0.0),
    "idle": (f"ray_rayspan_requests_in_flight{LABELS} 0.0\n", 0.0),
    "two ingresses": (
        'ray_rayspan_requests_in_flight{a="1"} 1.0\nray_rayspan_requests_in_flight{a="2"} 2.0\n',
        3.0,
    ),
    "the engine alone": ("ray_vllm_num_requests_running 2.0\nray_vllm_num_requests_waiting 3.0\n", 5.0),
    "the same request seen twice counts once": (
        f"ray_rayspan_requests_in_flight{LABELS} 1.0\nray_vllm_num_requests_running{LABELS} 1.0\n",
        1.0,
    ),
    "words where a number should be": ("ray_vllm_num_requests_running what\n", 0.0),
    "a longer name is another metric": ("ray_vllm_num_requests_waiting_by_reason 4.0\n", 0.0),
}


@pytest.mark.parametrize("case", PAGES)
def test_in_flight(case: str) -> None:
    page, expected = PAGES[case]
    assert in_flight(page) == expected


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
