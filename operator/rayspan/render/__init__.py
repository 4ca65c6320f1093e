"""PURE. From a spec and a plan to the wanted Kubernetes objects, byte-for-byte deterministic."""

from rayspan.render.bench_job import bench_job
from rayspan.render.inspect_job import inspect_job, inspect_key
from rayspan.render.network_policy import policies_missing
from rayspan.render.ray_service import objects, ray_service
from rayspan.render.record import left_alone, recorded_endpoint, recorded_plan, settings_of
from rayspan.render.revision import serve_revision
from rayspan.render.settings import Insiders, RenderSettings
from rayspan.render.token_secret import token_secret

__all__ = [
    "Insiders",
    "RenderSettings",
    "bench_job",
    "inspect_job",
    "inspect_key",
    "left_alone",
    "objects",
    "policies_missing",
    "ray_service",
    "recorded_endpoint",
    "recorded_plan",
    "serve_revision",
    "settings_of",
    "token_secret",
]
