"""A stage's worker that says what loading its weights took: vLLM's CPU runner does not, and it packs weights anew."""

import gc
import os
from pathlib import Path
from typing import Any

from rayspan_serving.stage_worker import StageWorker
from vllm.distributed.parallel_state import get_pp_group


class WeighedWorker(StageWorker):
    def load_model(self, *given: Any, **named: Any) -> None:
        before = resident()
        super().load_model(*given, **named)
        gc.collect()
        print(f"WEIGHED {get_pp_group().rank_in_group} {resident() - before}", flush=True)


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
