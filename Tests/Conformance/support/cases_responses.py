"""What an upstream of Responses has to get of the cases of the matrix when a client of Anthropic's dialect asks."""

from . import chat
from .cases import ADDRESS, CLOCK, DATA_URL, ODD, OSLO

WEATHER = {"type": "function", "strict": False} | chat.WEATHER["function"]
TIME = {"type": "function", "name": "clock", "parameters": CLOCK["input_schema"], "strict": False}


def user(*parts):
    """Texts, or parts of other types."""
    return {"type": "message", "role": "user", "content": [
        {"type": "input_text", "text": part} if isinstance(part, str) else part for part in parts]}


def assistant(*texts):
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text} for text in texts]}


def call(identity, name, arguments):
    return {"type": "function_call", "call_id": identity, "name": name, "arguments": arguments}


def output(identity, value):
    return {"type": "function_call_output", "call_id": identity, "output": value}


def image(address):
    return {"type": "input_image", "image_url": address, "detail": "auto"}


def sent(*items, **more):
    """The API's state is never used: everything is sent each time, and reasoning comes back sealed."""
    return {"input": list(items) or [user(chat.PROMPT)], "max_output_tokens": 100, "store": False,
            "include": ["reasoning.encrypted_content"]} | more


OSLO_CALL = call(OSLO.id, "weather", '{"place":"Oslo"}')

RESPONSES = {
    "text": sent(instructions="Be brief.", temperature=0.5, top_p=0.25),
    "conversation": sent(user(ODD), assistant(ODD[:9], ODD[9:]), user("one", "two"), instructions="A\n\nB\n\nC",
                         max_output_tokens=4096),
    "toolCall": sent(tools=[WEATHER], tool_choice="required", parallel_tool_calls=False),
    "namedTool": sent(tools=[WEATHER, TIME], tool_choice={"type": "function", "name": "clock"}),
    "parallelCalls": sent(tools=[WEATHER, TIME]),
    "toolResults": sent(
        user(chat.PROMPT), assistant("Let me see."), call("call_1", "weather", '{"place":"Bergen"}'),
        call("call_2", "clock", "{}"), OSLO_CALL, output("call_1", ODD), output("call_2", "[tool error] no clock"),
        output(OSLO.id, "rain\n\nwind"), user("Well?"), tools=[WEATHER, TIME]),
    "imageInResult": sent(
        user(chat.PROMPT), OSLO_CALL, output(OSLO.id, [{"type": "input_text", "text": "see"}, image(DATA_URL)]), user("Well?"),
        tools=[WEATHER]),
    "thinking": sent(max_output_tokens=8000, reasoning={"effort": "low", "summary": "auto"}),
    # What Anthropic signed means nothing there.
    "thinkingInHistory": sent(user(chat.PROMPT), assistant("See:"), OSLO_CALL, output(OSLO.id, "rain"), tools=[WEATHER]),
    "images": sent(user("Two:", image(DATA_URL), image(ADDRESS))),
    # It knows no stop strings: they are looked for here.
    "stopSequences": sent(),
    "limit": sent(),
    "refusal": sent(),
    "cachedTokens": sent(),
}
