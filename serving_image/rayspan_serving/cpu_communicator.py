"""Shared memory between CPU stages only where they really share it.

vLLM's CPU communicator takes ranks for neighbours when their `VLLM_DIST_IDENT` agrees; that is only the port of
the rendezvous, so stages on two hosts look alike and die with "open shm in SHMManager failed. errno: 2"
(vllm/distributed/device_communicators/cpu_communicator.py). Stages in two containers of one host do not share
/dev/shm either. What tells is the pair of host name and /dev/shm itself.
"""

import socket
from pathlib import Path

import torch
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class CpuStageCommunicator(CpuCommunicator):
    def _all_group_ranks_share_shm_group_name(self) -> bool:
        places: list[object] = [None] * self.world_size
        torch.distributed.all_gather_object(places, shared_memory_place(), group=self.device_group)
        same_place = len(set(places)) == 1
        # Asked by all ranks or by none: the check inside is a collective too.
        return bool(super()._all_group_ranks_share_shm_group_name() and same_place)


def shared_memory_place() -> tuple[str, int]:
    """Equal for two processes exactly when a segment made by one can be opened by the other."""
    shm = Path("/dev/shm")
    return socket.gethostname(), shm.stat().st_dev if shm.exists() else -1
