"""Other people's words, made fit for a status."""

from __future__ import annotations

import pytest
from rayspan.report.words import MESSAGE_MAX, bounded, listing, message, quote

SECRETS = {
    "a hub token": ("401 for hf_AbCdEfGhIjKl", "401 for [hidden]"),
    "a bearer token": ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [hidden]"),
    "a password in a URL": ("s3 via https://me:p4ssw0rd@host/x", "s3 via https://[hidden]@host/x"),
    "a variable with a key": (
        "AWS_SECRET_ACCESS_KEY=abcdefgh12 failed",
        "AWS_SECRET_ACCESS_KEY=[hidden] failed",
    ),
    "a signed URL": (
        "https://h/x?X-Amz-Signature=0123456789&y=1",
        "https://h/x?X-Amz-Signature=[hidden]&y=1",
    ),
    "a key in JSON": ('{"api_key": "abcdefgh"}', '{"api_key": "[hidden]"}'),
    "a JSON web token": ("eyJhbGciOiJI.eyJzdWIiOi.SflKx", "[hidden]"),
    "the name of a Secret is none": ('secret "hf-token" not found', 'secret "hf-token" not found'),
    "tokens that are counted are none": ("max_tokens=16, token 5 of 9", "max_tokens=16, token 5 of 9"),
}


@pytest.mark.parametrize("sentence", SECRETS)
def test_secrets_are_cut_out(sentence: str) -> None:
    text, expected = SECRETS[sentence]
    assert message(text) == expected
    assert quote(text) == expected


QUOTES = {
    "a traceback is its first line and what was raised": (
        "Deployment failed:\nTraceback (most recent call last):\n  File 'x', line 1\nKeyError: 'a'\n\nDuring handling"
        " of the above, another:\n\nTraceback (most recent call last):\n  File 'y'\nvllm.Foo.EngineDeadError: rank 3\n",
        "Deployment failed: vllm.Foo.EngineDeadError: rank 3",
    ),
    "a traceback of Ray's is without its header": (
        'Retrying 2 more time(s). Error:\nray::ServeReplica:tiny (pid=120)\n  File "/a/b.py", line 7, in init\n'
        "    raise error\nRuntimeError: no such interface: nosuch0\n",
        "Retrying 2 more time(s). Error: RuntimeError: no such interface: nosuch0",
    ),
    "an engine's own words stand for vLLM's that point to its log": (
        'Retrying 2 more time(s). Error:\nray::ServeReplica:tiny (pid=120)\n  File "/a/b.py", line 7, in start\n'
        "RuntimeError: Engine core initialization failed. See root cause above.\n\nThe above exception was the direct"
        ' cause of the following exception:\n\nray::ServeReplica:tiny (pid=120)\n  File "/a/b.py", line 9, in start\n'
        "rayspan_serving.last_words.EngineStartError: stage 1, in pod tiny-1: RuntimeError: no such interface: nosuch0",
        "Retrying 2 more time(s). Error: rayspan_serving.last_words.EngineStartError: stage 1, in pod tiny-1:"
        " RuntimeError: no such interface: nosuch0",
    ),
    "Ray's prefixes and colours go": ("\x1b[36m(RayWorkerProc pid=12, ip=10.0.0.4)\x1b[0m no room", "no room"),
    "back-off times go": (
        "back-off 40s restarting failed container=ray", "back-off restarting failed container=ray",
    ),
    "a back-off says what the pull said": (
        'Back-off pulling image "a:1": ErrImagePull: not found', "not found",
    ),
    "a pod that is refused at each try has one name": (
        'pods "tiny-inspect-1-7kq2x" is forbidden: no', 'pod "tiny-inspect-1-..." is forbidden: no',
    ),
    "white space is one blank": ("a \n\n  b\tc", "a b c"),
}  # fmt: skip


@pytest.mark.parametrize("sentence", QUOTES)
def test_quotes(sentence: str) -> None:
    text, expected = QUOTES[sentence]
    assert quote(text) == expected


def test_messages_are_bounded() -> None:
    assert len(message("x" * 10_000)) == MESSAGE_MAX
    assert bounded("abcdef", 4) == "abc…"


def test_listings() -> None:
    assert [listing(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert listing("abcdef") == "a, b, c, d and 2 more"
