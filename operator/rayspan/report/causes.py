"""Causes of a start that fails, known by the words of whoever failed, each with the next action.

The words are vLLM's, PyTorch's, Ray's and the hub's, as they were seen with vLLM 0.26 to 0.29 and Ray 2.60 or as they
stand in their code; a release that puts them differently costs an action that fits, and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Cause:
    """One of them."""

    words: re.Pattern[str]
    action: str


def _cause(words: str, action: str) -> Cause:
    return Cause(re.compile(words), action)


CAUSES: Final = (
    _cause(
        r"No available memory for the cache blocks|larger than the (?:available|maximum number of tokens).*KV cache"
        r"|KV cache is needed, which is larger",
        "Lower engine.args.max_model_len, raise gpu_memory_utilization, or plan more GPUs per replica.",
    ),
    _cause(
        r"CUDA out of memory|HIP out of memory|torch\.OutOfMemoryError",
        "Lower engine.args.max_num_seqs, max_num_batched_tokens or gpu_memory_utilization, or plan more GPUs per replica.",
    ),
    _cause(
        r"less than desired GPU memory utilization",
        "Look for who else uses that GPU; nothing but this pod should.",
    ),
    _cause(
        r"\bgated\b|GatedRepoError|401 Client Error|403 Client Error",
        "Accept the model's terms at its hub, and name a token that may read it in spec.model.tokenSecret.",
    ),
    _cause(
        r"does not appear to have a file named|Repo id must be|not a valid model identifier|RepositoryNotFound"
        r"|RevisionNotFound|No such file or directory|Can't load tokenizer",
        "Check spec.model and the paths in spec.engine.args: what they name is not there.",
    ),
    _cause(
        r"Address already in use|EADDRINUSE|address already in use",
        "Something else holds that port: give the pods a network of their own (no hostNetwork), or another port.",
    ),
    _cause(
        r"driver version is insufficient|no NVIDIA driver|CUDA driver initialization failed|libcuda\.so"
        r"|no kernel image is available|No CUDA GPUs are available|out of bounds for 0 devices",
        "Compare the node's driver and GPU with what the serving image's CUDA needs, and look at the device plugin.",
    ),
    _cause(
        r"placement group of replica \S+ is pending",
        "See in the head's dashboard what holds that GPU: another job's actor, or a replica that is still stopping.",
    ),
    _cause(
        r"(?i)\bnccl|\bgloo\b|Unable to find address for|TCPStore|connectFullMesh|DistNetworkError|DistBackendError",
        "The stages do not reach each other: check NCCL_SOCKET_IFNAME and GLOO_SOCKET_IFNAME in spec.engine.env, and "
        "policies between their pods.",
    ),
    _cause(
        r"running low on memory|OOMKilled|out of memory \(OOM\)|SIGKILL|exit code 137",
        "Raise the memory of the Ray pods in spec.serving.podTemplate.",
    ),
    _cause(r"No space left on device", "Give the pods more disk: weights and caches do not fit."),
)
"""The first that is found counts: what is told in the narrower words comes first."""


def action(words: str) -> str | None:
    """What to do about these words; None where they are not known."""
    return next((cause.action for cause in CAUSES if cause.words.search(words)), None)
