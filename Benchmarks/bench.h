// bench.h - what the mock upstream and the load generator share: a clock, checked memory, growing bytes.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Nanoseconds of the monotonic clock. Both programs read the same clock, so their times compare.
static inline uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline struct timespec timespec_of(uint64_t nanoseconds) {
    struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                            .tv_nsec = (long)(nanoseconds % 1000000000u)};
    return time;
}

// Ends the program with "WHAT: reason" when a call that has to work did not.
static inline void require(int worked, const char *what) {
    if (worked) {
        return;
    }
    perror(what);
    exit(1);
}

// realloc that never returns NULL.
static inline void *resized(void *memory, size_t size) {
    void *result = realloc(memory, size);
    require(result != NULL, "realloc");
    return result;
}

typedef struct {
    char *data;
    size_t length;
    size_t capacity;
} Bytes;

// Makes room for `extra` more bytes and a final zero.
static inline void bytes_reserve(Bytes *bytes, size_t extra) {
    size_t needed = bytes->length + extra + 1;
    if (needed <= bytes->capacity) {
        return;
    }
    bytes->capacity = needed < 2048 ? 4096 : needed * 2;
    bytes->data = resized(bytes->data, bytes->capacity);
}

static inline void bytes_append(Bytes *bytes, const void *data, size_t length) {
    bytes_reserve(bytes, length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static inline void bytes_text(Bytes *bytes, const char *text) {
    bytes_append(bytes, text, strlen(text));
}

static inline void bytes_number(Bytes *bytes, uint64_t value, unsigned base) {
    char digits[20];
    size_t start = sizeof digits;
    do {
        digits[--start] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    bytes_append(bytes, digits + start, sizeof digits - start);
}

static inline void bytes_drop_front(Bytes *bytes, size_t count) {
    bytes->length -= count;
    memmove(bytes->data, bytes->data + count, bytes->length);
}
