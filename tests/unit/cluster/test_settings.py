"""Settings come from the environment, name by name; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from rayspan.cluster.stored import stored
from rayspan.cluster.tokens import PROBE, RAY, derive
from rayspan.errors import SettingsError
from rayspan.render import Insiders
from rayspan.settings import Settings


def test_each_field_has_a_variable() -> None:
    settings = Settings.from_environment(
        {
            "RAYSPAN_SERVING_IMAGE": "image:1",
            "RAYSPAN_WATCH_NAMESPACES": "a, b,",
            "RAYSPAN_LISTEN_PORT": "9000",
            "RAYSPAN_CALM_SECONDS": "3",
            "RAYSPAN_KEY_FILE": "",
        }
    )
    assert settings.serving_image == "image:1"
    assert settings.watch_namespaces == ("a", "b")
    assert (settings.listen_port, settings.calm_seconds, settings.key_file) == (9000, 3.0, None)


def test_a_number_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="RAYSPAN_LISTEN_PORT is 'x'; it should be a number"):
        Settings.from_environment({"RAYSPAN_LISTEN_PORT": "x"})


def test_a_switch_is_true_or_false() -> None:
    for text, meant in {"true": True, "True": True, "1": True, "false": False, "0": False, "": False}.items():
        assert Settings.from_environment({"RAYSPAN_LEADER_ELECT": text}).leader_elect is meant
    with pytest.raises(SettingsError, match="RAYSPAN_LEADER_ELECT is 'yes'; it should be true or false"):
        Settings.from_environment({"RAYSPAN_LEADER_ELECT": "yes"})


def test_who_reaches_ray_pods_is_read_or_named_as_wrong() -> None:
    assert Settings().insiders() is None
    text = (
        '{"rayspan": [{"podSelector": {}}], "kuberay": [], "metrics": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}'
    )
    assert Settings(ray_insiders=text).insiders() == Insiders(
        ({"podSelector": {}},), (), ({"ipBlock": {"cidr": "10.0.0.0/8"}},)
    )
    for wrong in (
        "{",
        "[]",
        "{}",
        '{"rayspan": [], "kuberay": [], "others": []}',
        '{"rayspan": 1, "kuberay": []}',
    ):
        with pytest.raises(SettingsError, match="RAYSPAN_RAY_INSIDERS is not what it should be"):
            Settings(ray_insiders=wrong).insiders()


def test_a_key_lasts_only_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"k" * 32 + b"\n")
    assert Settings(key_file=str(file)).master_key() == (b"k" * 32, True)
    key, lasting = Settings().master_key()
    assert (len(key), lasting) == (32, False)


def test_a_key_that_is_short_or_missing_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"short")
    with pytest.raises(SettingsError, match="has 5 bytes; it needs 32 or more"):
        Settings(key_file=str(file)).master_key()
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings(key_file=str(tmp_path / "none")).master_key()


def test_tokens_differ_by_purpose_deployment_and_key() -> None:
    tokens = {derive(key, purpose, uid) for key in (b"a", b"b") for purpose in (RAY, PROBE) for uid in "12"}
    assert len(tokens) == 8
    assert all(len(token) == 64 for token in tokens)


def test_a_stored_object_that_does_not_parse_becomes_a_sentence() -> None:
    metadata = {"name": "a", "namespace": "ns", "uid": "u"}
    spec = {"model": {"id": "m"}, "replicas": 2, "engine": {"arguments": {}}}
    deployment, wrong = stored({"metadata": metadata, "spec": spec, "status": {"phase": 7}})
    assert deployment.spec.replicas == 2
    assert wrong == "spec.engine.arguments: Extra inputs are not permitted"
    assert stored({"metadata": metadata, "spec": {"model": {"id": "m"}}})[1] is None
    assert stored({"metadata": metadata, "spec": {}})[1] == "spec.model: Field required"
