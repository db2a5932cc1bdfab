#pragma once

#include "cscan_string.h"

/// No text is checked deeper than this, whatever is asked for.
enum { cscan_depth_limit = 1024 };

typedef enum {
    cscan_object,
    cscan_array,
    cscan_text,
    cscan_number,
    cscan_bool,
    cscan_null,
    cscan_no_value,
} cscan_kind;

/// A member of the outermost object: its key without the quotes, its value whole.
typedef struct {
    size_t key_start, key_end, value_start, value_end;
    cscan_kind kind;
    int key_escaped;
} cscan_member;

typedef struct {
    cscan_member *room;
    size_t capacity, count;
} cscan_members;

/// What kind of value begins with a byte.
static inline cscan_kind cscan_kind_of(uint8_t c) {
    switch (c) {
    case '{': return cscan_object;
    case '[': return cscan_array;
    case '"': return cscan_text;
    case 't': case 'f': return cscan_bool;
    case 'n': return cscan_null;
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9': return cscan_number;
    default: return cscan_no_value;
    }
}

/// The offset of the first byte at or after `i` that is no white space.
static inline size_t cscan_space(const uint8_t *p, size_t n, size_t i) {
    while (i < n && p[i] <= 0x20 && (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t')) i++;
    return i;
}

static inline size_t cscan_digits(const uint8_t *p, size_t n, size_t i) {
    while (i < n && (uint8_t)(p[i] - '0') < 10) i++;
    return i;
}

/// Checks the number that begins at `i`; gives the offset behind it.
static inline cscan_result cscan_number_at(const uint8_t *p, size_t n, size_t i) {
    if (i < n && p[i] == '-') i++;
    size_t start = i;
    i = cscan_digits(p, n, i);
    if (i == start) return cscan_fail(i < n ? cscan_bad_number : cscan_truncated, i);
    if (p[start] == '0' && i > start + 1) return cscan_fail(cscan_bad_number, start);
    if (i < n && p[i] == '.') {
        start = ++i;
        i = cscan_digits(p, n, i);
        if (i == start) return cscan_fail(i < n ? cscan_bad_number : cscan_truncated, i);
    }
    if (i < n && (p[i] | 0x20) == 'e') {
        i++;
        if (i < n && (p[i] == '+' || p[i] == '-')) i++;
        start = i;
        i = cscan_digits(p, n, i);
        if (i == start) return cscan_fail(i < n ? cscan_bad_number : cscan_truncated, i);
    }
    return cscan_fail(cscan_ok, i);
}

/// Checks the word `true`, `false` or `null` at `i`; gives the offset behind it.
static inline cscan_result cscan_word_at(const uint8_t *p, size_t n, size_t i) {
    const char *word = p[i] == 't' ? "true" : p[i] == 'f' ? "false" : "null";
    for (; *word; word++, i++) {
        if (i >= n) return cscan_fail(cscan_truncated, n);
        if (p[i] != (uint8_t)*word) return cscan_fail(cscan_malformed, i);
    }
    return cscan_fail(cscan_ok, i);
}

/// Checks one value of any kind that begins at or after `i` (https://www.rfc-editor.org/rfc/rfc8259); gives the offset
/// behind it. At most `max_depth` objects and arrays may be open at once. `members`, when given, is filled with those of
/// the outermost object.
static inline cscan_result cscan_value(
    const uint8_t *p, size_t n, size_t i, size_t max_depth, int options, cscan_members *members
) {
    uint64_t objects[cscan_depth_limit / 64];  // one bit per open container: set for an object
    size_t depth = 0;
    int in_object = 0;
    cscan_member current = {0, 0, 0, 0, cscan_no_value, 0};
    cscan_result r;
    if (max_depth > cscan_depth_limit) max_depth = cscan_depth_limit;

value:
    i = cscan_space(p, n, i);
    if (i >= n) return cscan_fail(cscan_truncated, n);
    if (depth == 1) {
        current.value_start = i;
        current.kind = cscan_kind_of(p[i]);
    }
    switch (p[i]) {
    case '"':
        r = cscan_string(p, n, i + 1, options);
        if (r.status != cscan_ok) return r;
        i = r.offset + 1;
        goto behind_value;
    case '{':
    case '[':
        if (depth >= max_depth) return cscan_fail(cscan_too_deep, i);
        in_object = p[i] == '{';
        if (in_object) {
            objects[depth / 64] |= (uint64_t)1 << depth % 64;
        } else {
            objects[depth / 64] &= ~((uint64_t)1 << depth % 64);
        }
        depth++;
        i = cscan_space(p, n, i + 1);
        if (i >= n) return cscan_fail(cscan_truncated, n);
        if (p[i] == (in_object ? '}' : ']')) goto close;
        if (in_object) goto key;
        goto value;
    case 't': case 'f': case 'n':
        r = cscan_word_at(p, n, i);
        if (r.status != cscan_ok) return r;
        i = r.offset;
        goto behind_value;
    case '-': case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        r = cscan_number_at(p, n, i);
        if (r.status != cscan_ok) return r;
        i = r.offset;
        goto behind_value;
    default:
        return cscan_fail(cscan_malformed, i);
    }

key:
    if (p[i] != '"') return cscan_fail(cscan_malformed, i);
    r = cscan_string(p, n, i + 1, options);
    if (r.status != cscan_ok) return r;
    if (depth == 1) {
        current.key_start = i + 1;
        current.key_end = r.offset;
        current.key_escaped = r.escaped;
    }
    i = cscan_space(p, n, r.offset + 1);
    if (i >= n) return cscan_fail(cscan_truncated, n);
    if (p[i] != ':') return cscan_fail(cscan_malformed, i);
    i++;
    goto value;

close:
    i++;
    depth--;
    in_object = depth > 0 && (objects[(depth - 1) / 64] >> (depth - 1) % 64 & 1);

behind_value:
    if (depth == 0) return cscan_fail(cscan_ok, i);
    if (depth == 1 && in_object && members) {
        current.value_end = i;
        if (members->count < members->capacity) members->room[members->count] = current;
        members->count++;
    }
    i = cscan_space(p, n, i);
    if (i >= n) return cscan_fail(cscan_truncated, n);
    if (p[i] == ',') {
        i++;
        if (!in_object) goto value;
        i = cscan_space(p, n, i);
        if (i >= n) return cscan_fail(cscan_truncated, n);
        goto key;
    }
    if (p[i] == (in_object ? '}' : ']')) goto close;
    return cscan_fail(cscan_malformed, i);
}

/// Checks a whole JSON text, with nothing but white space around its value, and gives the offset behind that value.
/// `members->count` is how many there are, also when that is more than the capacity (`cscan_more_members`).
static inline cscan_result cscan_document(const uint8_t *p, size_t n, size_t max_depth, cscan_members *members) {
    members->count = 0;
    cscan_result r = cscan_value(p, n, 0, max_depth, 0, members);
    if (r.status != cscan_ok) return r;
    size_t rest = cscan_space(p, n, r.offset);
    if (rest < n) return cscan_fail(cscan_trailing, rest);
    if (members->count > members->capacity) r.status = cscan_more_members;
    return r;
}
