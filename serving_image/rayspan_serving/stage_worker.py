"""vLLM's worker with a clock around the model: its engine argument `worker_cls`, for pipelines.

A stage works on a step in the runner's `execute_model` and, on the last stage, in its sampling. Two calls within them
wait for another stage: that for the received tensors, when they are first used, and with the newer of vLLM's two model
runners that for the tokens which the last stage sampled. Sending lies outside.
"""

from typing import Any

import torch
from vllm.distributed.parallel_state import get_pp_group, get_tp_group
from vllm.platforms import current_platform
from vllm.v1.worker.gpu.pp_utils import PPHandler
from vllm.v1.worker.gpu_worker import AsyncIntermediateTensors

from rayspan_serving.stage_clock import DeviceClock, HostClock, kind
from rayspan_serving.stage_meter import StageMeter

if current_platform.is_cpu():
    from vllm.v1.worker.cpu_worker import CPUWorker as Worker
elif current_platform.is_xpu():
    from vllm.v1.worker.xpu_worker import XPUWorker as Worker
else:
    from vllm.v1.worker.gpu_worker import Worker


class StageWorker(Worker):
    def init_device(self) -> None:
        super().init_device()
        if get_tp_group().rank_in_group:
            return  # the other tensor ranks of a stage work in step with the first
        put_clock(self.model_runner, StageMeter(get_pp_group().rank_in_group), get_pp_group().is_last_rank)


def put_clock(runner: Any, meter: StageMeter, last: bool) -> None:
    """Have the runner's steps timed."""
    clock = (
        HostClock(meter)
        if current_platform.is_cpu()
        else DeviceClock(meter, lambda: torch.Event(enable_timing=True))
    )
    execute = runner.execute_model
    step = ""

    def execute_model(scheduled: Any, *more: Any, **named: Any) -> Any:
        nonlocal step
        if not scheduled.total_num_scheduled_tokens or named.get("dummy_run"):
            return execute(scheduled, *more, **named)
        step = kind(scheduled.total_num_scheduled_tokens, len(scheduled.num_scheduled_tokens))
        meter.step(step)
        return clock.work(step, lambda: execute(scheduled, *more, **named))

    runner.execute_model = execute_model
    for owner, name in (
        (AsyncIntermediateTensors, "wait_for_comm"),
        (PPHandler, "get_prev_sampled_outputs"),
    ):
        wait = getattr(owner, name)
        setattr(owner, name, lambda self, wait=wait: clock.wait(lambda: wait(self)))
    if last:
        name = "sample" if hasattr(runner, "sample") else "_sample"  # the two model runners' names for it
        sample = getattr(runner, name)
        setattr(runner, name, lambda *given, **named: clock.work(step, lambda: sample(*given, **named)))
