"""Some of the fault laboratory's faults on real vLLM: one replica of two stages on CPU, on two nodes.

    make faults-real [OPTIONS="--rounds N --only FAULT --seed S"]

Load, paths and judgement are lab.py's. The engine is vLLM's own, with four sequences at once and a cache of a few
hundred tokens, so that many short answers queue and long ones run out of cache.
"""

from typing import Any

from lab import HEALTHY, Fault, Lab, Making, judged

SEQUENCES = 4
BLOCK_TOKENS = 32
BLOCKS = 20
"""One answer of 512 tokens has to fit; four of 220 do not."""


def layer_bytes(tokens: int) -> int:
    """Keys and values of a layer of dev/tiny_model.py, in float32."""
    from dev.tiny_model import HEADS, HIDDEN, KV_HEADS

    return 2 * tokens * KV_HEADS * HIDDEN // HEADS * 4


FAULTS: dict[str, Making] = {
    "light load": lambda r: Fault(HEALTHY, 2, r.randint(8, 24), pause=r.uniform(0.3, 0.7)),
    "nobody asks": lambda r: Fault("Client", 0),
    "throttled path": lambda r: Fault("Coordinator", r.randint(3, 4), 16, path_share=r.uniform(0.007, 0.011)),
    "saturated engine": lambda r: Fault("Engine", r.randint(8, 14), r.randint(16, 24)),
    "small cache": lambda r: Fault("KVCache", r.randint(6, 9), r.randint(200, 240)),
    "slow stage": lambda r: Fault("PipelineImbalance", SEQUENCES, 12, stage_share=r.uniform(0.1, 0.12)),
}


class RealLab(Lab):
    layers = 8
    settable = False

    def __init__(self, folder: Any) -> None:
        super().__init__(folder, 2)

    def config(self) -> dict[str, Any]:
        config = super().config()
        (application,) = config["applications"]
        (model,) = application["args"]["llm_configs"]
        model["engine_kwargs"] = {
            "pipeline_parallel_size": 2,
            "distributed_executor_backend": "ray",
            "dtype": "float32",
            "max_model_len": 512,
            "max_num_seqs": SEQUENCES,
            "block_size": BLOCK_TOKENS,
            "kv_cache_memory_bytes": layer_bytes(BLOCK_TOKENS) * BLOCKS * (self.layers // 2),
            "enable_prefix_caching": False,
            "compilation_config": {"mode": 2, "backend": "eager"},
        }
        model["runtime_env"] = {"env_vars": {"VLLM_RAY_BUNDLE_INDICES": "0,1"}}
        model["placement_group_config"] = {"strategy": "PACK", "bundles": [{"GPU": 1}, {"GPU": 1}]}
        selectors = [{"rayspan.dev/stage": str(stage)} for stage in range(2)]
        model["deployment_config"] = {
            "placement_group_bundle_label_selector": selectors,
            "ray_actor_options": {"num_cpus": 0},
            "max_ongoing_requests": 64,
        }
        for deployment in application["deployments"]:
            if deployment["name"].startswith("LLMServer"):
                deployment["num_replicas"] = 1
        return config

    def last_stage(self) -> list[int]:
        return [actor["pid"] for actor in self.ray.actors("RayWorkerProc") if actor["name"].endswith("PP1")]


if __name__ == "__main__":
    judged(RealLab, FAULTS, __doc__)
