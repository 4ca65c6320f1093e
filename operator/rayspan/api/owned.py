"""What Rayspan sets itself, and what to write instead.

One table for arguments of the engine (names of vLLM 0.29's ``AsyncEngineArgs`` and ``FrontendArgs``), one
for environment variables. ``crd.py`` makes the admission rules from them, ``render`` relies on them. Each
value ends the sentence "spec.engine.args.<name> is set by Rayspan: ...".

Owned are, besides what other fields of the spec say: whatever changes the number or the order of vLLM's
ranks, because ranks are what is pinned to nodes; and every setting of vLLM's own HTTP server, because
Ray Serve answers HTTP here and the setting would be dropped without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MODEL = "write spec.model.source instead"
_REPLICAS = "leave it out and set spec.replicas: replicas are whole pipelines behind one address"
_RANKS = "leave it out: Ray gives every rank its node and its GPU"
_HTTP = "leave it out: Ray Serve answers HTTP here, not vLLM's own server"
_TLS = "leave it out: end TLS in a gateway in front of the Service"

OWNED_ARGUMENTS: Final[Mapping[str, str]] = {
    # what other fields say
    "model": _MODEL,
    "model_weights": _MODEL,
    "served_model_name": "write spec.model.id instead",
    "revision": "write spec.model.revision instead",
    "hf_token": "write spec.model.tokenSecret instead, so that the token stays in its Secret",
    "tensor_parallel_size": "write spec.parallelism.tensor instead",
    "pipeline_parallel_size": "write spec.parallelism.pipeline instead",
    "api_key": "write spec.serving.apiKeySecret instead, so that the key stays in its Secret",
    "port": "write spec.serving.port instead",
    # ranks and where they run
    "distributed_executor_backend": "leave it out: stages on several nodes run over Ray",
    "prefill_context_parallel_size": "leave it out: it multiplies the ranks beyond tensor x pipeline",
    "master_addr": _RANKS,
    "master_port": _RANKS,
    "nnodes": _RANKS,
    "node_rank": _RANKS,
    "device_ids": _RANKS,
    "_api_process_count": _REPLICAS,
    "_api_process_rank": _REPLICAS,
    "data_parallel_size": _REPLICAS,
    "data_parallel_size_local": _REPLICAS,
    "data_parallel_rank": _REPLICAS,
    "data_parallel_start_rank": _REPLICAS,
    "data_parallel_address": _REPLICAS,
    "data_parallel_rpc_port": _REPLICAS,
    "data_parallel_backend": _REPLICAS,
    "data_parallel_hybrid_lb": _REPLICAS,
    "data_parallel_external_lb": _REPLICAS,
    "data_parallel_multi_port_external_lb": _REPLICAS,
    "data_parallel_supervisor_port": _REPLICAS,
    "dp_supervisor_probe_interval_s": _REPLICAS,
    "dp_supervisor_probe_timeout_s": _REPLICAS,
    "dp_supervisor_probe_failure_threshold": _REPLICAS,
    "enable_elastic_ep": _REPLICAS,
    # the metrics that the status is made of
    "disable_log_stats": "leave it out: the status is made from these figures",
    # vLLM's HTTP server, which does not run here
    "host": _HTTP,
    "uds": _HTTP,
    "uvicorn_log_level": _HTTP,
    "disable_uvicorn_access_log": _HTTP,
    "disable_access_log_for_endpoints": _HTTP,
    "allow_credentials": _HTTP,
    "allowed_origins": _HTTP,
    "allowed_methods": _HTTP,
    "allowed_headers": _HTTP,
    "root_path": _HTTP,
    "middleware": _HTTP,
    "enable_request_id_headers": _HTTP,
    "disable_fastapi_docs": _HTTP,
    "enable_offline_docs": _HTTP,
    "h11_max_incomplete_event_size": _HTTP,
    "h11_max_header_count": _HTTP,
    "ssl_keyfile": _TLS,
    "ssl_certfile": _TLS,
    "ssl_ca_certs": _TLS,
    "ssl_cert_reqs": _TLS,
    "ssl_ciphers": _TLS,
    "enable_ssl_refresh": _TLS,
}
"""Keys of spec.engine.args that are refused, and what to write instead."""

_STAGES = "write spec.parallelism.stages instead"
_GPUS = "leave it out: Ray gives every rank its node and its GPU"
_TOKEN = "write spec.model.tokenSecret instead, so that the token stays in its Secret"

OWNED_ENVIRONMENT: Final[Mapping[str, str]] = {
    "VLLM_RAY_BUNDLE_INDICES": _STAGES,
    "VLLM_PP_LAYER_PARTITION": _STAGES,
    "VLLM_USE_RAY_V2_EXECUTOR_BACKEND": "leave it out: the other executor reorders ranks by address",
    "VLLM_RAY_PER_WORKER_GPUS": _GPUS,
    "VLLM_HOST_IP": "leave it out: it differs from pod to pod",
    "VLLM_API_KEY": "write spec.serving.apiKeySecret instead, so that the key stays in its Secret",
    "CUDA_VISIBLE_DEVICES": _GPUS,
    "HIP_VISIBLE_DEVICES": _GPUS,
    "ROCR_VISIBLE_DEVICES": _GPUS,
    "HF_TOKEN": _TOKEN,
    "HUGGING_FACE_HUB_TOKEN": _TOKEN,
}
"""Keys of spec.engine.env that are refused, and what to write instead."""

OWNED_ENVIRONMENT_PREFIXES: Final[Mapping[str, str]] = {
    "RAY_": "leave it out: Ray's settings belong to the pods; set it on the container `ray` in "
    "spec.serving.podTemplate",
    "RAYSPAN_": "leave it out: these are Rayspan's own",
}
"""Beginnings of keys of spec.engine.env that are refused, and what to write instead."""
