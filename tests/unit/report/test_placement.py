"""The state of each stage of each replica."""

from __future__ import annotations

from typing import Any

from rayspan.api.v1alpha1 import StageStatus
from rayspan.report.observed import ServeView
from rayspan.report.placement import Placement, placement


def placed(world: Any, *replicas: Any, tensor: int = 2, count: int = 3) -> Placement:
    given = world.serving(count, tensor)
    serve = ServeView("RUNNING", "", replicas, ())
    return placement(world.plan(tensor), serve, given.observed.pods, given.nodes)


def test_replicas_whose_tensor_ranks_straddle_two_pods_are_not_ready(world: Any) -> None:
    ranks = (world.rank(0, 0), world.rank(0, 1, pod="tiny-stage-0-1"), world.rank(1, 0), world.rank(1, 1))
    found = placed(world, world.replica(0, 2, ranks=ranks), world.replica(2, 2))
    assert [s.state for s in found.stages] == ["Split", "Running", "Running", "Running"]
    assert found.ready == 1


def test_a_replica_that_is_being_stopped_comes_last_and_is_not_ready(world: Any) -> None:
    found = placed(world, world.replica(0, 2, state="STOPPING"), world.replica(1, 2))
    assert [(s.replica, s.state) for s in found.stages[1:3]] == [("r1", "Running"), ("r0", "Terminating")]
    assert found.ready == 1


def test_stages_in_each_other_s_place_are_seen(world: Any) -> None:
    swapped = tuple(world.rank(1 - stage, 0, pod=f"tiny-stage-{stage}-0") for stage in (0, 1))
    found = placed(world, world.replica(0, ranks=swapped), tensor=1, count=1)
    assert [(s.stage, s.state, s.node) for s in found.stages] == [
        (0, "Misplaced", "gpu-b"),
        (1, "Misplaced", "gpu-a"),
    ]


def test_a_stage_lacks_a_rank(world: Any) -> None:
    ranks = tuple(rank for rank in world.replica(0, 2).ranks if (rank.stage, rank.tensor) != (1, 1))
    found = placed(world, world.replica(0, 2, ranks=ranks))
    assert [s.state for s in found.stages] == ["Running", "Missing"]
    assert found.stages[1].why == "Stage 1 of replica r0: 1 of 2 tensor ranks live."


def test_a_rank_that_died_before_its_replica_ever_ran_is_a_failed_start(world: Any) -> None:
    given = world.serving(1, 1)
    dead = tuple(world.rank(stage, 0, state="DEAD") for stage in (0, 1))
    starting = ServeView("DEPLOYING", "", (world.replica(0, ranks=dead, state="STARTING"),), ())
    stages: list[StageStatus] = []
    for _ in range(2):  # what was written the first time changes nothing the second time
        found = placement(world.plan(1), starting, given.observed.pods, given.nodes, stages)
        assert [s.state for s in found.stages] == ["Failed", "Failed"]
        stages = [stage.status for stage in found.stages]
    ran = [stage.model_copy(update={"state": "Running"}) for stage in stages]
    found = placement(world.plan(1), starting, given.observed.pods, given.nodes, ran)
    assert [s.state for s in found.stages] == ["Dead", "Dead"]
