"""Words of starts that failed, as they were seen, and what each leads to."""

import pytest
from rayspan.report.causes import CAUSES, action

SEEN = {
    # vLLM 0.26 on an H200
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB. GPU 0 has a total capacity of 139.80 GiB": "max_num_seqs",
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`": "max_model_len",
    "ValueError: Free memory on device cuda:0 (38.77/139.8 GiB) on startup is less than desired GPU memory "
    "utilization (0.92, 128.62 GiB). Decrease GPU memory utilization": "who else uses",
    "AssertionError: DP adjusted local rank 0 is out of bounds for 0 devices.": "driver",
    # vLLM 0.29 on CPU, Ray 2.60
    "HFValidationError: Repo id must be in the form 'repo_name' or 'namespace/repo_name': '/models/none'": "paths",
    "RuntimeError: [enforce fail at gloo/transport/tcp/device.cc:83] Unable to find address for: nosuch0": "SOCKET_IFNAME",
    "OutOfMemoryError: Task was killed due to the node running low on memory.": "memory of the Ray pods",
    "The placement group of replica ab12 is pending: no room for bundle 1 of 2 (stage 1, 1 GPU)": "holds that GPU",
    # from their code
    "To serve at least one request with the models's max seq len (131072), (16.0 GiB KV cache is needed, which is larger "
    "than the available KV cache memory (3.1 GiB).": "max_model_len",
    "meta-llama/Llama-3.1-8B is gated: accept its terms, and give a token": "terms",
    "torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3690, unhandled system error": "SOCKET_IFNAME",
    "The server socket has failed to listen on any local network address. port: 29500, code: -98, name: EADDRINUSE": "port",
    "RuntimeError: The NVIDIA driver on your system is too old. CUDA driver version is insufficient": "driver",
    "OSError: [Errno 28] No space left on device": "disk",
}


@pytest.mark.parametrize("words", SEEN, ids=lambda words: words[:40])
def test_known_words_lead_to_what_can_be_done(words: str) -> None:
    found = action(words)
    assert found is not None and SEEN[words] in found


def test_unknown_words_lead_nowhere() -> None:
    assert action("ValueError: 7 is not a prime") is None


def test_every_cause_was_seen() -> None:
    assert {action(words) for words in SEEN} == {cause.action for cause in CAUSES}
