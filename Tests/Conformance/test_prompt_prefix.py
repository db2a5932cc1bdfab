"""The debug line that tells why a server reads a prompt anew."""

from support import chat


def turns(system, *texts):
    return {"model": chat.MODEL, "messages": [{"role": "system", "content": system}] + [
        {"role": ("user", "assistant")[place % 2], "content": said} for place, said in enumerate(texts)]}


def test_a_debug_line_tells_where_two_turns_part(martlet, upstream):
    server = martlet(upstream(), "--log-level", "debug")
    for body in (turns("s", "hi"), turns("s", "hi", "ok", "more"), turns("s", "hi", "ok", "mere", "ok"),
                 turns("t", "hi", "ok"), turns("u", "ho")):
        assert server.chat(chat.dumps(body)).status == 200
    lines = [line for line in server.log().splitlines() if "prefix diverges" in line]
    assert len(lines) == 2, lines
    for word in ("part=messages", "index=3", "kind=user", "offset=27", "model=openai-compatible/m1", "request=req_"):
        assert word in lines[0], lines[0]
    assert "index=0" in lines[1] and "kind=system" in lines[1]


def test_nothing_is_compared_where_no_debug_line_is_written(martlet, upstream):
    server = martlet(upstream(), "--log-level", "info")
    for body in (turns("s", "hi"), turns("t", "hi")):
        assert server.chat(chat.dumps(body)).status == 200
    assert "prefix diverges" not in server.log()
