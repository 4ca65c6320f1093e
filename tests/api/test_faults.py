"""A part of the fault matrix (tests/matrix): the operator killed after each write of a creation.

All of it is `make fault-matrix`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import node
from tests.kubectl import apply, kubectl
from tests.matrix.__main__ import matrix, table
from tests.matrix.lab import lab
from tests.matrix.points import Result

JOBS = 5


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Set up before all else: what the test leaves is found here, and not in the test that is next."""
    yield
    gc.collect()


@pytest.fixture
def second_node(server: None) -> Iterator[None]:
    """The scenarios have two stages."""
    apply(node("gpu-b"))
    yield
    kubectl("delete", "node", "gpu-b")


# Connections of operators that were killed are never closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_an_operator_killed_after_any_write_of_a_creation_leaves_what_an_undisturbed_one_does(
    forgotten: None, tmp_path: Path, second_node: None
) -> None:
    results: list[Result] = []
    async with lab(Path(os.environ["KUBECONFIG"]), tmp_path, _not_here) as place:
        await matrix(place, "create", "killed after", JOBS, results)
    print(table(results))
    assert [one for one in results if one.problem] == []
    assert len([one for one in results if one.reached]) >= 8


def _not_here() -> None:
    raise AssertionError("the API server is everybody's")
