"""Pipeline stages on machines without a GPU, over Ray, with stock vLLM.

The CPU answers to Ray's key "GPU": a stage takes one of the logical GPUs that its Ray node declares, exactly as
on real hardware, so that placement groups, bundle labels and worker groups are the same with and without
accelerators.
"""

from vllm.platforms.cpu import CpuPlatform


class CpuStagePlatform(CpuPlatform):
    ray_device_key = "GPU"
    simple_compile_backend = "eager"
    """Small functions around the sampler would each start a C++ compiler when a replica starts, on the cores that
    the replica is waiting for."""

    @classmethod
    def device_control_id_to_physical_device_id(cls, device_id: str) -> int:
        return int(device_id)

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        return "rayspan_serving.cpu_communicator.CpuStageCommunicator"
