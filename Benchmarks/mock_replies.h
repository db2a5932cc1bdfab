// mock_replies.h - what the mock upstream says: whole replies and stream events, in OpenAI's Chat and Anthropic's
// Messages form. Each text delta is "@<nanoseconds of the monotonic clock> tok": the load generator, on the same
// machine, tells from it how long the event was on its way, translated or not.
#pragma once

#include "bench.h"

typedef enum { DIALECT_CHAT, DIALECT_MESSAGES } Dialect;

// A stream of `total` text deltas, with one opening and one closing step around them.
typedef struct {
    Dialect dialect;
    int total;
    int step;
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

// Appends what the script says next, without HTTP framing.
static inline void script_next(Script *script, Bytes *out) {
    int step = script->step++;
    int chat = script->dialect == DIALECT_CHAT;
    if (step == 0) {
        chat ? chat_opening(out) : messages_opening(out);
    } else if (step <= script->total) {
        chat ? chat_delta(out) : messages_delta(out);
    } else {
        chat ? chat_closing(out, script->total) : messages_closing(out, script->total);
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
    bytes_text(out, "{\"id\":\"msg_mock01\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock\","
                    "\"content\":[{\"type\":\"text\",\"text\":\"");
    filler_text(out, text_length);
    bytes_text(out, "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                    "\"usage\":{\"input_tokens\":9,\"output_tokens\":200}}");
}
