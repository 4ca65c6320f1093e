"""Keys of a mounted Secret: several at a time, exchanged while requests come, written nowhere."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from rayspan_serving.keys import RENEW_SECONDS, Keys


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def written(folder: Path, text: str) -> Path:
    file = folder / "keys"
    file.write_text(text)
    return file


FILES: dict[str, tuple[str, tuple[bytes, ...], tuple[bytes, ...]]] = {
    "one key": ("sk-a", (b"sk-a",), (b"", b"sk-", b"sk-ab", b"SK-A")),
    "one key and a line's end": ("sk-a\n", (b"sk-a",), (b"", b"sk-a\n")),
    "two keys": ("sk-a\nsk-b\n", (b"sk-a", b"sk-b"), (b"", b"sk-a\nsk-b")),
    "blanks and lines of another system": ("  sk-a \r\n\r\n sk-b", (b"sk-a", b"sk-b"), (b"", b"\r")),
    "an empty file": ("", (), (b"", b"sk-a")),
    "blank lines": ("\n \n", (), (b"", b" ")),
}


@pytest.mark.parametrize("sentence", FILES)
def test_of_a_file_with(sentence: str, tmp_path: Path) -> None:
    text, good, bad = FILES[sentence]
    keys = Keys(written(tmp_path, text))
    assert [key for key in (*good, *bad) if keys.open_to(key)] == list(good)


def test_keys_are_exchanged_without_a_moment_in_which_neither_is_good(tmp_path: Path) -> None:
    clock = Clock()
    keys = Keys(written(tmp_path, "old"), clock)
    assert keys.open_to(b"old")
    written(tmp_path, "new\nold")
    assert keys.open_to(b"old") and not keys.open_to(b"new")  # not read again yet
    clock.seconds += RENEW_SECONDS
    assert keys.open_to(b"old") and keys.open_to(b"new")
    written(tmp_path, "new")
    clock.seconds += RENEW_SECONDS
    assert keys.open_to(b"new") and not keys.open_to(b"old")


def test_a_file_that_is_away_for_a_moment_changes_nothing(tmp_path: Path) -> None:
    clock = Clock()
    keys = Keys(written(tmp_path, "key"), clock)
    assert keys.open_to(b"key")
    (tmp_path / "keys").unlink()
    clock.seconds += RENEW_SECONDS
    assert keys.open_to(b"key")


def test_a_file_that_was_never_there_opens_to_nobody(tmp_path: Path) -> None:
    assert not Keys(tmp_path / "keys").open_to(b"")


def test_no_key_is_logged_or_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        keys = Keys(written(tmp_path, "sk-secret\nsk-other"))
        keys.open_to(b"sk-secret")
        keys.open_to(b"sk-guessed")
    assert caplog.messages == ["API keys were read: there are 2"]
    assert "sk-" not in repr(vars(keys))
