import pytest
from rayspan_serving.stream import Chunk, chunk


def chat(delta: str, more: str = "") -> str:
    return (
        'data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":'
        + delta
        + "}]"
        + more
        + "}\n\n"
    )


CASES = {
    "the role alone is no token": (chat('{"role":"assistant","content":""}'), Chunk()),
    "text is": (chat('{"content":"a"}'), Chunk(generated=1)),
    "so is reasoning": (chat('{"reasoning":"hm"}'), Chunk(generated=1)),
    "and a tool call": (chat('{"tool_calls":[{"index":0}]}'), Chunk(generated=1)),
    "a token whose character is not complete shows nothing": (chat('{"content":""}'), Chunk()),
    "a completion's text": ('data: {"choices":[{"text":"a"}]}\n\n', Chunk(generated=1)),
    "token ids without text are output": (
        'data: {"choices":[{"text":"","token_ids":[5]}]}\n\n',
        Chunk(generated=1),
    ),
    "two events in one piece": (chat('{"content":"a"}') + chat('{"content":"b"}'), Chunk(generated=2)),
    "the last usage counts": (
        'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":7}}\n\ndata: [DONE]\n\n',
        Chunk(output_tokens=7),
    ),
    "an error names its status": (
        'data: {"error":{"message":"no","code":500}}\n\n',
        Chunk(error=True, error_code=500),
    ),
    "the end is nothing": ("data: [DONE]\n\n", Chunk()),
    "broken JSON is nothing": ("data: {oops\n\n", Chunk()),
    "comments are nothing": (": ping\n\n", Chunk()),
}


@pytest.mark.parametrize("case", CASES)
def test_chunk(case: str) -> None:
    body, expected = CASES[case]
    assert chunk(body) == expected
    assert chunk(body.encode()) == expected
