"""The inspection keeps every key of config.json that the operator's planner asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import yaml
from rayspan.plan import model_config
from rayspan.plan.model_facts import model_facts
from rayspan_serving.model_config import KEPT, TEXT

MODELS = Path(__file__).parents[1] / "plan" / "models.yaml"
TOWERS = {"vision_config", "audio_config"}
"""Kept as empty maps: only that they are there counts."""


class Recording(dict[str, Any]):
    """Remembers what it was asked for."""

    asked: ClassVar[set[str]] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def test_what_is_asked_for_is_kept() -> None:
    for model in yaml.safe_load(MODELS.read_text()):
        model_facts(Recording(model["config"]))
    model_config.read(Recording()).multimodal  # noqa: B018  # asks for what none of these models has
    assert len(Recording.asked) > 50
    assert Recording.asked - KEPT - set(TEXT) - TOWERS == set()


def test_both_sides_look_for_the_text_in_the_same_places() -> None:
    assert TEXT == model_config.TEXT
