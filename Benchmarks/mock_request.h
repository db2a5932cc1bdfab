// mock_request.h - finds the request at the front of a connection's input, and what its JSON body asks for.
#pragma once

#include "bench.h"

#include <stdbool.h>
#include <strings.h>

// `head_length` is 0 while the head is incomplete.
typedef struct {
    size_t head_length;
    size_t body_length;
    bool chunked;
    bool expects_continue;
    bool wants_close;
} Request;

static inline void request_field(Request *request, const char *field) {
    if (strncasecmp(field, "content-length:", 15) == 0) {
        request->body_length = strtoul(field + 15, NULL, 10);
    } else if (strncasecmp(field, "transfer-encoding:", 18) == 0) {
        request->chunked = true;
    } else if (strncasecmp(field, "connection: close", 17) == 0) {
        request->wants_close = true;
    } else if (strncasecmp(field, "expect:", 7) == 0) {
        request->expects_continue = true;
    }
}

// Whether the head is complete; then its fields are read.
static inline bool request_head(Request *request, const Bytes *in) {
    const char *end = memmem(in->data, in->length, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    *request = (Request){.head_length = (size_t)(end - in->data) + 4};
    const char *line_end = memchr(in->data, '\n', request->head_length);
    while (line_end < end) {
        request_field(request, line_end + 1);
        line_end = memchr(line_end + 1, '\n', (size_t)(end + 4 - line_end));
    }
    return true;
}

// Whether the body is here. A chunked one is not unpacked, only its end is found: JSON holds no bare line ends.
static inline bool request_body(Request *request, const Bytes *in) {
    if (!request->chunked) {
        return in->length >= request->head_length + request->body_length;
    }
    const char *start = in->data + request->head_length - 2;
    const char *end = memmem(start, in->length - request->head_length + 2, "\r\n0\r\n\r\n", 7);
    if (end == NULL) {
        return false;
    }
    request->body_length = (size_t)(end + 7 - in->data) - request->head_length;
    return true;
}

// Whether the request line's target is `path`, with or without a query.
static inline bool request_asks_for(const char *target, const char *path) {
    size_t length = strlen(path);
    return strncmp(target, path, length) == 0 && (target[length] == ' ' || target[length] == '?');
}

// The text after `key` and its colon, or NULL. A plain search: the load generator's texts hold no such keys.
static inline const char *body_value(const char *body, size_t length, const char *key) {
    const char *found = memmem(body, length, key, strlen(key));
    if (found == NULL) {
        return NULL;
    }
    found += strlen(key);
    return found + strspn(found, ": ");
}

static inline bool body_wants_stream(const char *body, size_t length) {
    const char *value = body_value(body, length, "\"stream\"");
    return value != NULL && strncmp(value, "true", 4) == 0;
}

// The number of text deltas; 200 when the body names none.
static inline int body_events(const char *body, size_t length) {
    static const char *const keys[] = {"\"max_tokens\"", "\"max_completion_tokens\"", "\"max_output_tokens\""};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = body_value(body, length, keys[i]);
        if (value != NULL) {
            return atoi(value);
        }
    }
    return 200;
}

// Nanoseconds between events, 0 for all at once.
static inline uint64_t body_pace_ns(const char *body, size_t length) {
    const char *value = body_value(body, length, "pace=");
    return value == NULL ? 0 : strtoull(value, NULL, 10) * 1000;
}
