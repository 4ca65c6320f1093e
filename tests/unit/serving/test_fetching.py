"""What lies in a model's cache is told while its replica starts."""

import time
from pathlib import Path

import pytest
from rayspan_serving import fetching


def test_files_count_once_by_what_is_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "a").write_bytes(b"x" * 100_000)
    with (tmp_path / "blobs" / "b.incomplete").open("wb") as file:
        file.truncate(10_000_000)  # promised, not there
    (tmp_path / "snapshot").symlink_to(tmp_path / "blobs" / "a")
    assert 100_000 <= fetching.on_disk(tmp_path) < 200_000
    assert fetching.on_disk(tmp_path / "none") == 0


def test_it_is_told_until_the_start_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(fetching, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(fetching, "cache", lambda source: Path(source))
    monkeypatch.setattr(fetching, "on_disk", lambda folder: 7)
    with fetching.fetching("org/name", told.append):
        while not told:
            time.sleep(0.01)
    time.sleep(0.05)
    seen = len(told)
    time.sleep(0.05)
    assert set(told) == {7} and len(told) == seen
    with fetching.fetching("/models/tiny", told.append):
        time.sleep(0.05)
    assert len(told) == seen
