"""What an engine's process leaves behind for its replica."""

import logging
from pathlib import Path

import pytest
from rayspan_serving import last_words


class RayTaskError(Exception):
    """As Ray's: the first line says where, and `cause` is what was raised there."""

    def __init__(self, text: str, cause: Exception) -> None:
        super().__init__(text)
        self.cause = cause


def test_the_first_cause_is_kept_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(last_words.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(last_words.os, "environ", {})
    file = last_words.expect()
    last_words.listen()
    logger = logging.getLogger(last_words.LOGGER)
    try:
        try:
            raise RayTaskError(
                "ray::RayWorkerProc.initialize_worker() (pid=77, ip=10.0.0.7, actor_id=ab)\n  File ...",
                ValueError("Unable to find address for: nosuch0"),
            )
        except RayTaskError:
            logger.exception("EngineCore failed to start.")
    finally:
        logger.removeHandler(logger.handlers[-1])
    assert last_words.read(file) == {
        "address": "10.0.0.7",
        "words": "ValueError: Unable to find address for: nosuch0",
    }


def test_nothing_was_said(tmp_path: Path) -> None:
    assert last_words.read(tmp_path / "none") is None
