// mock_replies.h - what the mock upstream says: whole replies and stream events, in the forms of OpenAI's Chat and
// Responses and of Anthropic's Messages. Each text delta is "@<nanoseconds of the monotonic clock> tok": the load generator, on the same
// machine, tells from it how long the event was on its way, translated or not.
#pragma once

#include "bench.h"

typedef enum { DIALECT_CHAT, DIALECT_MESSAGES, DIALECT_RESPONSES, DIALECT_COUNT } Dialect;

// A stream of `total` text deltas, with one opening and one closing step around them.
typedef struct {
    Dialect dialect;
    int total;
    int step;
    // Responses number their events, and say the whole text again at the end.
    int number;
    Bytes text;
} Script;

static inline int script_ended(const Script *script) {
    return script->step == script->total + 2;
}

static const char models_json[] =
    "{\"object\":\"list\",\"data\":[{\"id\":\"mock\",\"object\":\"model\",\"created\":1700000000,"
    "\"owned_by\":\"mock\"}]}";
static const char health_json[] = "{\"status\":\"ok\"}";
static const char not_found_json[] =
    "{\"error\":{\"message\":\"the mock upstream has no such route\",\"type\":\"invalid_request_error\","
    "\"param\":null,\"code\":null}}";

static const char chunk_start[] =
    "data: {\"id\":\"chatcmpl-mock01\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":";

static inline void chat_opening(Bytes *out) {
    bytes_text(out, chunk_start);
    bytes_text(out, "{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n");
}

static inline void chat_delta(Bytes *out) {
    bytes_text(out, chunk_start);
    bytes_text(out, "{\"content\":\"@");
    bytes_number(out, now_ns(), 10);
    bytes_text(out, " tok\"},\"finish_reason\":null}]}\n\n");
}

static inline void chat_closing(Bytes *out, int total) {
    bytes_text(out, chunk_start);
    bytes_text(out, "{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":");
    bytes_number(out, (uint64_t)total, 10);
    bytes_text(out, ",\"total_tokens\":");
    bytes_number(out, (uint64_t)total + 9, 10);
    bytes_text(out, "}}\n\ndata: [DONE]\n\n");
}

static inline void messages_opening(Bytes *out) {
    bytes_text(out, "event: message_start\n"
                    "data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_mock01\",\"type\":\"message\","
                    "\"role\":\"assistant\",\"content\":[],\"model\":\"mock\",\"stop_reason\":null,"
                    "\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n");
    bytes_text(out, "event: content_block_start\n"
                    "data: {\"type\":\"content_block_start\",\"index\":0,"
                    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n");
}

static inline void messages_delta(Bytes *out) {
    bytes_text(out, "event: content_block_delta\n"
                    "data: {\"type\":\"content_block_delta\",\"index\":0,"
                    "\"delta\":{\"type\":\"text_delta\",\"text\":\"@");
    bytes_number(out, now_ns(), 10);
    bytes_text(out, " tok\"}}\n\n");
}

static inline void messages_closing(Bytes *out, int total) {
    bytes_text(out, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    bytes_text(out, "event: message_delta\n"
                    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
                    "\"stop_sequence\":null},\"usage\":{\"output_tokens\":");
    bytes_number(out, (uint64_t)total, 10);
    bytes_text(out, "}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static const char response_start[] =
    "{\"id\":\"resp_mock01\",\"object\":\"response\",\"created_at\":1700000000,\"model\":\"mock\","
    "\"background\":false,\"error\":null,\"incomplete_details\":null,\"instructions\":null,"
    "\"max_output_tokens\":null,\"max_tool_calls\":null,\"parallel_tool_calls\":true,"
    "\"previous_response_id\":null,\"reasoning\":{\"effort\":null,\"summary\":null},\"service_tier\":\"default\","
    "\"store\":false,\"temperature\":0.7,\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\","
    "\"tools\":[],\"top_logprobs\":0,\"top_p\":1.0,\"truncation\":\"disabled\",\"user\":null,\"metadata\":{},";
static const char response_part[] = "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"";
static const char response_place[] = ",\"item_id\":\"msg_mock01\",\"output_index\":0,\"content_index\":0";

static inline void response_usage(Bytes *out, int total) {
    bytes_text(out, "\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":");
    bytes_number(out, (uint64_t)total, 10);
    bytes_text(out, ",\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":");
    bytes_number(out, (uint64_t)total + 9, 10);
    bytes_text(out, "}}");
}

static inline void response_message(Bytes *out, const char *text, size_t length) {
    bytes_text(out, "{\"id\":\"msg_mock01\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\","
                    "\"content\":[");
    bytes_text(out, response_part);
    bytes_append(out, text, length);
    bytes_text(out, "\"}]}");
}

static inline void responses_event(Script *script, Bytes *out, const char *type) {
    bytes_text(out, "event: response.");
    bytes_text(out, type);
    bytes_text(out, "\ndata: {\"type\":\"response.");
    bytes_text(out, type);
    bytes_text(out, "\",\"sequence_number\":");
    bytes_number(out, (uint64_t)script->number++, 10);
}

static inline void responses_opening(Script *script, Bytes *out) {
    static const char *const types[] = {"created", "in_progress"};
    for (int i = 0; i < 2; i++) {
        responses_event(script, out, types[i]);
        bytes_text(out, ",\"response\":");
        bytes_text(out, response_start);
        bytes_text(out, "\"status\":\"in_progress\",\"output\":[],\"usage\":null}}\n\n");
    }
    responses_event(script, out, "output_item.added");
    bytes_text(out, ",\"output_index\":0,\"item\":{\"id\":\"msg_mock01\",\"type\":\"message\","
                    "\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n");
    responses_event(script, out, "content_part.added");
    bytes_text(out, response_place);
    bytes_text(out, ",\"part\":");
    bytes_text(out, response_part);
    bytes_text(out, "\"}}\n\n");
}

static inline void responses_delta(Script *script, Bytes *out) {
    size_t start = script->text.length;
    bytes_text(&script->text, "@");
    bytes_number(&script->text, now_ns(), 10);
    bytes_text(&script->text, " tok");
    responses_event(script, out, "output_text.delta");
    bytes_text(out, response_place);
    bytes_text(out, ",\"delta\":\"");
    bytes_append(out, script->text.data + start, script->text.length - start);
    bytes_text(out, "\",\"logprobs\":[]}\n\n");
}

static inline void responses_closing(Script *script, Bytes *out) {
    const Bytes *text = &script->text;
    responses_event(script, out, "output_text.done");
    bytes_text(out, response_place);
    bytes_text(out, ",\"text\":\"");
    bytes_append(out, text->data, text->length);
    bytes_text(out, "\",\"logprobs\":[]}\n\n");
    responses_event(script, out, "content_part.done");
    bytes_text(out, response_place);
    bytes_text(out, ",\"part\":");
    bytes_text(out, response_part);
    bytes_append(out, text->data, text->length);
    bytes_text(out, "\"}}\n\n");
    responses_event(script, out, "output_item.done");
    bytes_text(out, ",\"output_index\":0,\"item\":");
    response_message(out, text->data, text->length);
    bytes_text(out, "}\n\n");
    responses_event(script, out, "completed");
    bytes_text(out, ",\"response\":");
    bytes_text(out, response_start);
    bytes_text(out, "\"status\":\"completed\",\"output\":[");
    response_message(out, text->data, text->length);
    bytes_text(out, "],");
    response_usage(out, script->total);
    bytes_text(out, "}\n\n");
}

static inline void script_opening(Script *script, Bytes *out) {
    switch (script->dialect) {
    case DIALECT_CHAT:
        chat_opening(out);
        break;
    case DIALECT_MESSAGES:
        messages_opening(out);
        break;
    default:
        responses_opening(script, out);
    }
}

static inline void script_delta(Script *script, Bytes *out) {
    switch (script->dialect) {
    case DIALECT_CHAT:
        chat_delta(out);
        break;
    case DIALECT_MESSAGES:
        messages_delta(out);
        break;
    default:
        responses_delta(script, out);
    }
}

static inline void script_closing(Script *script, Bytes *out) {
    switch (script->dialect) {
    case DIALECT_CHAT:
        chat_closing(out, script->total);
        break;
    case DIALECT_MESSAGES:
        messages_closing(out, script->total);
        break;
    default:
        responses_closing(script, out);
    }
}

// Begins a script anew; the room of the last one's text is kept.
static inline void script_start(Script *script, Dialect dialect, int total) {
    Bytes text = script->text;
    text.length = 0;
    *script = (Script){.dialect = dialect, .total = total, .text = text};
}

// Appends what the script says next, without HTTP framing.
static inline void script_next(Script *script, Bytes *out) {
    int step = script->step++;
    if (step == 0) {
        script_opening(script, out);
    } else if (step <= script->total) {
        script_delta(script, out);
    } else {
        script_closing(script, out);
    }
}

static inline void filler_text(Bytes *out, size_t length) {
    bytes_reserve(out, length);
    for (size_t i = 0; i < length; i++) {
        out->data[out->length++] = i % 8 == 7 ? ' ' : (char)('a' + i % 26);
    }
}

// A whole reply whose text has `text_length` bytes.
static inline void whole_reply(Dialect dialect, size_t text_length, Bytes *out) {
    if (dialect == DIALECT_CHAT) {
        bytes_text(out, "{\"id\":\"chatcmpl-mock01\",\"object\":\"chat.completion\",\"created\":1700000000,"
                        "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                        "\"content\":\"");
        filler_text(out, text_length);
        bytes_text(out, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
                        "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":200,\"total_tokens\":209},"
                        "\"system_fingerprint\":\"fp_mock\"}");
        return;
    }
    if (dialect == DIALECT_RESPONSES) {
        Bytes text = {0};
        filler_text(&text, text_length);
        bytes_text(out, response_start);
        bytes_text(out, "\"status\":\"completed\",\"output\":[");
        response_message(out, text.data, text.length);
        bytes_text(out, "],");
        response_usage(out, 200);
        free(text.data);
        return;
    }
    bytes_text(out, "{\"id\":\"msg_mock01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"");
    filler_text(out, text_length);
    bytes_text(out, "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                    "\"usage\":{\"input_tokens\":9,\"output_tokens\":200}}");
}
