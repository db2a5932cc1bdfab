#pragma once

#include "cscan_block.h"

/// What a scan found. Offsets are counted from the start of the text.
typedef enum {
    cscan_ok = 0,
    cscan_malformed,
    cscan_bad_escape,
    cscan_lone_surrogate,
    cscan_bad_utf8,
    cscan_control_character,
    cscan_bad_number,
    cscan_too_deep,
    cscan_trailing,
    /// The text ends where more must come.
    cscan_truncated,
    /// Well-formed, with more top-level members than there was room for.
    cscan_more_members,
} cscan_status;

typedef struct {
    /// On success, what the function says; else the byte that is wrong.
    size_t offset;
    cscan_status status;
    /// The string held at least one escape.
    int escaped;
} cscan_result;

/// A lone surrogate escape is let through (some upstreams cut a stream between the halves of a pair).
enum { cscan_allow_lone = 1 };

static inline cscan_result cscan_fail(cscan_status status, size_t offset) {
    cscan_result r = {offset, status, 0};
    return r;
}

static inline int cscan_hex(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// The code unit of the four hex digits at `i`; -1 when one is none, -2 when the text ends among them.
static inline int32_t cscan_unit(const uint8_t *p, size_t n, size_t i) {
    int32_t unit = 0;
    for (size_t k = 0; k < 4; k++) {
        if (i + k >= n) return -2;
        int digit = cscan_hex(p[i + k]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/// Checks the `\u` escape whose backslash is at `i` (its `u` has been seen), its other half included; gives the offset
/// behind it.
static inline cscan_result cscan_unicode_escape(const uint8_t *p, size_t n, size_t i, int options) {
    int32_t unit = cscan_unit(p, n, i + 2);
    if (unit < 0) return cscan_fail(unit == -2 ? cscan_truncated : cscan_bad_escape, i);
    cscan_result r = {i + 6, cscan_ok, 1};
    if ((unit & 0xF800) != 0xD800) return r;
    if (unit < 0xDC00) {
        size_t j = i + 6;
        if (j >= n || (p[j] == '\\' && j + 1 >= n)) {
            return options & cscan_allow_lone ? r : cscan_fail(cscan_truncated, i);
        }
        if (p[j] == '\\' && p[j + 1] == 'u') {
            int32_t low = cscan_unit(p, n, j + 2);
            if (low == -2) return options & cscan_allow_lone ? r : cscan_fail(cscan_truncated, i);
            if (low == -1) return cscan_fail(cscan_bad_escape, j);
            if ((low & 0xFC00) == 0xDC00) {
                r.offset = j + 6;
                return r;
            }
        }
    }
    return options & cscan_allow_lone ? r : cscan_fail(cscan_lone_surrogate, i);
}

/// Checks characters of several bytes from `i` on (https://www.rfc-editor.org/rfc/rfc3629#section-4); gives the offset
/// of the first ASCII byte or the end.
static inline cscan_result cscan_utf8(const uint8_t *p, size_t n, size_t i) {
    while (i < n && p[i] >= 0x80) {
        uint8_t c = p[i];
        size_t left = n - i;
        if (c < 0xC2) return cscan_fail(cscan_bad_utf8, i);
        if (c < 0xE0) {
            if (left < 2 || (p[i + 1] & 0xC0) != 0x80) return cscan_fail(cscan_bad_utf8, i);
            i += 2;
        } else if (c < 0xF0) {
            if (left < 3 || (p[i + 1] & 0xC0) != 0x80 || (p[i + 2] & 0xC0) != 0x80) {
                return cscan_fail(cscan_bad_utf8, i);
            }
            if ((c == 0xE0 && p[i + 1] < 0xA0) || (c == 0xED && p[i + 1] > 0x9F)) return cscan_fail(cscan_bad_utf8, i);
            i += 3;
        } else {
            if (c > 0xF4 || left < 4) return cscan_fail(cscan_bad_utf8, i);
            if ((p[i + 1] & 0xC0) != 0x80 || (p[i + 2] & 0xC0) != 0x80 || (p[i + 3] & 0xC0) != 0x80) {
                return cscan_fail(cscan_bad_utf8, i);
            }
            if ((c == 0xF0 && p[i + 1] < 0x90) || (c == 0xF4 && p[i + 1] > 0x8F)) return cscan_fail(cscan_bad_utf8, i);
            i += 4;
        }
    }
    return cscan_fail(cscan_ok, i);
}

/// Whether the byte behind a backslash stands alone: one of `"\/bfnrt`.
static inline int cscan_is_short_escape(uint8_t c) {
    switch (c) {
    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't': return 1;
    default: return 0;
    }
}

/// Checks string content from `i`, just behind the opening quote, and gives the offset of the closing quote. Of a text
/// that ends too early: `n`, or where the escape begins that it ends in.
static inline cscan_result cscan_string(const uint8_t *p, size_t n, size_t i, int options) {
    int escaped = 0;
    size_t wide = 16;  // most strings are short: look at 16 bytes first, then at 64
    while (i < n) {
        size_t left = n - i, width;
        uint64_t mask;
        if (left >= 64 && wide == 64) {
            mask = cscan_special64(p + i);
            width = 64;
        } else if (left >= 16) {
            mask = cscan_special16(p + i);
            width = 16;
        } else {
            mask = 0;
            width = left;
            for (size_t k = 0; k < left; k++) mask |= (uint64_t)cscan_is_special(p[i + k]) << k;
        }
        wide = 64;
        size_t next = i + width;
        while (mask) {
            size_t j = i + (size_t)__builtin_ctzll(mask), behind;
            uint8_t c = p[j];
            if (c == '"') {
                cscan_result r = {j, cscan_ok, escaped};
                return r;
            }
            if (c == '\\') {
                escaped = 1;
                if (j + 1 >= n) return cscan_fail(cscan_truncated, j);
                if (cscan_is_short_escape(p[j + 1])) {
                    behind = j + 2;
                } else {
                    if (p[j + 1] != 'u') return cscan_fail(cscan_bad_escape, j);
                    cscan_result r = cscan_unicode_escape(p, n, j, options);
                    if (r.status != cscan_ok) return r;
                    behind = r.offset;
                }
            } else {
                if (c < 0x20) return cscan_fail(cscan_control_character, j);
                cscan_result r = cscan_utf8(p, n, j);
                if (r.status != cscan_ok) return r;
                behind = r.offset;
            }
            if (behind - i >= width) {
                next = behind;
                break;
            }
            mask &= ~(uint64_t)0 << (behind - i);
        }
        i = next;
    }
    return cscan_fail(cscan_truncated, n);
}

/// Whether all `n` bytes are string content: checked as above, with no closing quote among them.
static inline int cscan_is_content(const uint8_t *p, size_t n) {
    cscan_result r = cscan_string(p, n, 0, 0);
    return r.status == cscan_truncated && r.offset == n;
}
