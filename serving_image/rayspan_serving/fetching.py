"""How much of a model from the hub has reached this pod, told while its replica starts: a start that seems stuck may
only be fetching 140 GB. Exported by Ray as `ray_rayspan_fetched_bytes`; a model in a folder or a bucket tells nothing."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOOK_SECONDS = 2.0
BLOCK_BYTES = 512
"""What st_blocks counts in: files may be given their whole length before they are filled."""


@contextmanager
def fetching(source: str, tell: Callable[[float], object] | None = None) -> Iterator[None]:
    """Tell within. ``source``: as model_source, a hub's id if it is neither a path nor a URL."""
    if source.startswith("/") or "://" in source:
        yield
        return
    over = threading.Event()
    folder = cache(source)

    def look() -> None:
        told = tell or gauge()
        while not over.wait(LOOK_SECONDS):
            if size := on_disk(folder):
                told(size)

    threading.Thread(target=look, name="fetching", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def cache(repository: str) -> Path:
    """Where huggingface_hub keeps a model."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    return Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def on_disk(folder: Path) -> int:
    """Bytes of all files that lie there, whole or in part; links to them do not count."""
    total = 0
    for where, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                total += (Path(where) / file).lstat().st_blocks * BLOCK_BYTES
    return total


def gauge() -> Callable[[float], None]:
    from ray.util.metrics import Gauge

    return Gauge("rayspan_fetched_bytes", "Of the model, fetched from the hub to this pod.").set
