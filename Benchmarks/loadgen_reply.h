// loadgen_reply.h - reads one HTTP/1.1 reply from whatever pieces it arrives in, and finds the time stamps in it.
#pragma once

#include "bench.h"

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

typedef struct {
    uint64_t *values;
    size_t count;
    size_t capacity;
} Samples;

static inline void samples_add(Samples *samples, uint64_t value) {
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 4096;
        samples->values = resized(samples->values, samples->capacity * sizeof *samples->values);
    }
    samples->values[samples->count++] = value;
}

static inline int samples_order(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

// The value below which `share` (0 to 1) of the samples lie, in microseconds; 0 without samples. They must be sorted.
static inline double samples_share_us(const Samples *samples, double share) {
    if (samples->count == 0) {
        return 0;
    }
    size_t index = (size_t)(share * (double)(samples->count - 1));
    return (double)samples->values[index] / 1000.0;
}

typedef enum {
    STAGE_HEAD,
    STAGE_BODY,
    STAGE_BODY_TO_CLOSE,
    STAGE_CHUNK_SIZE,
    STAGE_CHUNK,
    STAGE_CHUNK_END,
    STAGE_TRAILER,
    STAGE_COMPLETE,
    STAGE_BROKEN,
} Stage;

typedef struct {
    Stage stage;
    int status;
    bool closes;
    bool has_body;
    char last_byte;
    int events;
    int expected_events;
    size_t remaining;
    size_t line_length;
    bool in_stamp;
    uint64_t stamp;
    size_t head_length;
    char head[8192];
} Reply;

static inline void reply_start(Reply *reply, int expected_events) {
    memset(reply, 0, offsetof(Reply, head));
    reply->expected_events = expected_events;
}

static inline void reply_field(Reply *reply, const char *field) {
    if (strncasecmp(field, "content-length:", 15) == 0) {
        reply->remaining = strtoul(field + 15, NULL, 10);
        reply->stage = reply->remaining > 0 ? STAGE_BODY : STAGE_COMPLETE;
    } else if (strncasecmp(field, "transfer-encoding:", 18) == 0) {
        reply->stage = STAGE_CHUNK_SIZE;
    } else if (strncasecmp(field, "connection: close", 17) == 0) {
        reply->closes = true;
    }
}

static inline void reply_parse_head(Reply *reply) {
    reply->status = atoi(reply->head + strlen("HTTP/1.1 "));
    if (reply->status < 200) {
        reply->head_length = 0;
        return;
    }
    reply->stage = STAGE_BODY_TO_CLOSE;
    for (char *line = strstr(reply->head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n")) {
        reply_field(reply, line + 2);
    }
}

// Takes bytes up to the end of the head; returns how many.
static inline size_t reply_take_head(Reply *reply, const char *data, size_t length) {
    size_t before = reply->head_length;
    size_t room = sizeof reply->head - 1 - before;
    size_t taken = length < room ? length : room;
    memcpy(reply->head + before, data, taken);
    reply->head_length += taken;
    char *end = memmem(reply->head, reply->head_length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (taken < length) {
            reply->stage = STAGE_BROKEN;
        }
        return taken;
    }
    size_t head_length = (size_t)(end - reply->head) + 4;
    reply->head[head_length] = 0;
    reply_parse_head(reply);
    return head_length - before;
}

// Reads the digits of a stamp; returns the bytes read. A stamp may be cut anywhere. Those behind the last expected one
// are no events: Responses and LM Studio's own API say the whole text again at the end.
static inline size_t reply_take_stamp(Reply *reply, const char *data, size_t length, uint64_t now, Samples *delays) {
    size_t i = 0;
    while (i < length && data[i] >= '0' && data[i] <= '9') {
        reply->stamp = reply->stamp * 10 + (uint64_t)(data[i++] - '0');
    }
    if (i < length) {
        reply->in_stamp = false;
        if (reply->events < reply->expected_events) {
            reply->events++;
            samples_add(delays, now > reply->stamp ? now - reply->stamp : 0);
        }
    }
    return i;
}

// Goes through body bytes from stamp to stamp ("@" and digits) and notes how old each is.
static inline void reply_scan_body(Reply *reply, const char *data, size_t length, uint64_t now, Samples *delays) {
    reply->has_body = true;
    reply->last_byte = data[length - 1];
    size_t i = 0;
    while (i < length) {
        if (reply->in_stamp) {
            i += reply_take_stamp(reply, data + i, length - i, now, delays);
            continue;
        }
        const char *mark = memchr(data + i, '@', length - i);
        if (mark == NULL) {
            return;
        }
        reply->in_stamp = true;
        reply->stamp = 0;
        i = (size_t)(mark - data) + 1;
    }
}

// Takes body bytes, at most what remains of the body or chunk; returns how many.
static inline size_t reply_take_body(Reply *reply, const char *data, size_t length, uint64_t now, Samples *delays) {
    if (reply->stage == STAGE_BODY_TO_CLOSE) {
        reply_scan_body(reply, data, length, now, delays);
        return length;
    }
    size_t taken = length < reply->remaining ? length : reply->remaining;
    reply_scan_body(reply, data, taken, now, delays);
    reply->remaining -= taken;
    if (reply->remaining == 0) {
        reply->stage = reply->stage == STAGE_BODY ? STAGE_COMPLETE : STAGE_CHUNK_END;
    }
    return taken;
}

static inline int hex_digit(char character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    char lower = (char)(character | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// One byte of a chunk's size line.
static inline void reply_chunk_size(Reply *reply, char byte) {
    int digit = hex_digit(byte);
    if (byte == '\n') {
        reply->stage = reply->remaining > 0 ? STAGE_CHUNK : STAGE_TRAILER;
        reply->line_length = 0;
    } else if (digit >= 0) {
        reply->remaining = reply->remaining * 16 + (size_t)digit;
    } else if (byte != '\r') {
        reply->stage = STAGE_BROKEN;
    }
}

// One byte of what follows the last chunk: lines, up to an empty one.
static inline void reply_trailer(Reply *reply, char byte) {
    if (byte == '\n' && reply->line_length == 0) {
        reply->stage = STAGE_COMPLETE;
    } else if (byte == '\n') {
        reply->line_length = 0;
    } else if (byte != '\r') {
        reply->line_length++;
    }
}

static inline void reply_framing(Reply *reply, char byte) {
    if (reply->stage == STAGE_CHUNK_SIZE) {
        reply_chunk_size(reply, byte);
    } else if (reply->stage == STAGE_TRAILER) {
        reply_trailer(reply, byte);
    } else if (byte == '\n') {
        reply->stage = STAGE_CHUNK_SIZE;
    }
}

// Reads on; `now` is when the bytes came. The delay of every stamp found is added to `delays`.
static inline void reply_read(Reply *reply, const char *data, size_t length, uint64_t now, Samples *delays) {
    size_t i = 0;
    while (i < length && reply->stage < STAGE_COMPLETE) {
        switch (reply->stage) {
        case STAGE_HEAD:
            i += reply_take_head(reply, data + i, length - i);
            break;
        case STAGE_BODY:
        case STAGE_BODY_TO_CLOSE:
        case STAGE_CHUNK:
            i += reply_take_body(reply, data + i, length - i, now, delays);
            break;
        default:
            reply_framing(reply, data[i++]);
        }
    }
    if (i < length) {
        reply->stage = STAGE_BROKEN;
    }
}

// The peer closed: that is the end of a reply that has no other one.
static inline void reply_closed(Reply *reply) {
    reply->stage = reply->stage == STAGE_BODY_TO_CLOSE ? STAGE_COMPLETE : STAGE_BROKEN;
    reply->closes = true;
}
