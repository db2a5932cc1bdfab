"""Conversations that are compacted over a WebSocket, where only the connection holds them."""

import pytest

from support import chat
from support.talk import ask, hear, open_socket, response, say
from test_responses_compact import LONG, MANAGED, NEXT, TALK, TRIGGER, check_opaque, sums_up_and_counts, told

KINDS = ("openai-compatible", "anthropic")


@pytest.fixture(params=KINDS)
def connected(request, matrix):
    """Asks on a WebSocket, of a model that sums up; and what that is asked."""
    play, asked = sums_up_and_counts(request.param)
    matrix.play(request.param, play)
    with open_socket(matrix.server) as socket:
        yield lambda **more: ask(socket, **{"model": f"{request.param}/{chat.MODEL}", "store": False} | more), asked


def test_a_trigger(connected):
    """With the new items alone, as Codex sends it; what follows goes on from the summary."""
    turn, asked = connected
    first = turn(input=TALK)
    made = turn(input=[TRIGGER], previous_response_id=first["id"])
    [item] = made["output"]
    check_opaque(item)
    after = turn(input=[NEXT], previous_response_id=made["id"])
    assert after["output"][0]["content"][0]["text"] == "Seven."
    assert "Seven gulls." in str(asked[1]) and "Seven gulls." not in str(asked[2])
    assert "Ada counts birds" in told(asked[2])[-1][1] and told(asked[2])[-1][1].endswith(NEXT["content"])


def test_a_long_conversation_is_compacted_before_it_is_answered(connected):
    turn, asked = connected
    first = turn(input=[*TALK, LONG, NEXT])
    made = turn(input=[NEXT], previous_response_id=first["id"], max_output_tokens=20, **MANAGED)
    assert [item["type"] for item in made["output"]] == ["compaction", "message"]
    summing, answering = asked[1:]
    assert (summing["max_tokens"], answering["max_tokens"]) == (8192, 20)
    assert "two gulls" in str(summing) and "two gulls" not in str(answering)
    after = turn(input=[NEXT], previous_response_id=made["id"], **MANAGED)
    assert [item["type"] for item in after["output"]] == ["message"] and len(asked) == 4
    assert "two gulls" not in str(asked[3]) and "Ada counts birds" in str(asked[3])


def test_a_warm_up_is_not_compacted(connected):
    turn, asked = connected
    warm = turn(input=[*TALK, LONG, NEXT], generate=False, **MANAGED)
    assert warm["output"] == [] and asked == []


def test_a_summary_that_is_none_ends_the_reply_once(martlet, upstream):
    server = martlet(upstream([
        lambda exchange: exchange.json(chat.completion(" ")), lambda exchange: exchange.stream(chat.text_stream("Dry."))]))
    with open_socket(server) as socket:
        say(socket, model="m1", input=[*TALK, LONG, NEXT], store=False, **MANAGED)
        [event] = hear(socket)
        assert event["status"] == 502 and "without a summary" in event["error"]["message"]
        say(socket, model="m1", input="And now?", store=False)
        assert response(hear(socket))["output"][0]["content"][0]["text"] == "Dry."
