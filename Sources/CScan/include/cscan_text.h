#pragma once

#include "cscan_string.h"

/// How many bytes from the start can stand in a JSON string as they are: none below 0x20, no `"`, no `\`.
static inline size_t cscan_plain(const uint8_t *p, size_t n) {
    size_t i = 0;
#if defined(CSCAN_SSE2)
    while (n - i >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1F)), v);
        __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
        __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
        int mask = _mm_movemask_epi8(_mm_or_si128(control, _mm_or_si128(quote, slash)));
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
        i += 16;
    }
#elif defined(CSCAN_NEON)
    while (n - i >= 16) {
        uint8x16_t v = vld1q_u8(p + i);
        uint8x16_t odd = vorrq_u8(vceqq_u8(v, vdupq_n_u8('"')), vceqq_u8(v, vdupq_n_u8('\\')));
        if (vmaxvq_u8(vorrq_u8(odd, vcltq_u8(v, vdupq_n_u8(0x20))))) break;
        i += 16;
    }
#endif
    while (i < n && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') i++;
    return i;
}

/// Whether there is a backslash among them.
static inline int cscan_has_escape(const uint8_t *p, size_t n) { return n > 0 && memchr(p, '\\', n) != NULL; }

/// What `cscan_escape` did: bytes read and bytes written.
typedef struct {
    size_t taken, written;
} cscan_step;

/// Writes text as JSON string content with the escapes that must be (https://www.rfc-editor.org/rfc/rfc8259#section-7),
/// as much as there is room for. Takes at least one byte when there is room for six.
static inline cscan_step cscan_escape(const uint8_t *p, size_t n, uint8_t *out, size_t room) {
    static const char digits[] = "0123456789abcdef";
    cscan_step s = {0, 0};
    while (s.taken < n) {
        size_t space = room - s.written, left = n - s.taken;
        size_t run = cscan_plain(p + s.taken, left < space ? left : space);
        memcpy(out + s.written, p + s.taken, run);
        s.taken += run;
        s.written += run;
        if (s.taken == n || room - s.written < 6) return s;
        uint8_t c = p[s.taken], mark;
        switch (c) {
        case '"': case '\\': mark = c; break;
        case '\b': mark = 'b'; break;
        case '\f': mark = 'f'; break;
        case '\n': mark = 'n'; break;
        case '\r': mark = 'r'; break;
        case '\t': mark = 't'; break;
        default: mark = 'u'; break;
        }
        s.taken++;
        out[s.written++] = '\\';
        out[s.written++] = mark;
        if (mark != 'u') continue;
        out[s.written++] = '0';
        out[s.written++] = '0';
        out[s.written++] = (uint8_t)digits[c >> 4];
        out[s.written++] = (uint8_t)digits[c & 15];
    }
    return s;
}

/// Whether both have the same `n` bytes; neither is looked at when `n` is 0.
static inline int cscan_same(const void *a, const void *b, size_t n) { return n == 0 || memcmp(a, b, n) == 0; }

/// Writes the character's UTF-8 bytes (at most 4) and says how many; a surrogate becomes U+FFFD.
static inline size_t cscan_put(uint32_t scalar, uint8_t *out) {
    if ((scalar & 0xFFFFF800) == 0xD800) scalar = 0xFFFD;
    if (scalar < 0x80) {
        out[0] = (uint8_t)scalar;
        return 1;
    }
    if (scalar < 0x800) {
        out[0] = (uint8_t)(0xC0 | scalar >> 6);
        out[1] = (uint8_t)(0x80 | (scalar & 0x3F));
        return 2;
    }
    if (scalar < 0x10000) {
        out[0] = (uint8_t)(0xE0 | scalar >> 12);
        out[1] = (uint8_t)(0x80 | (scalar >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (scalar & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | scalar >> 18);
    out[1] = (uint8_t)(0x80 | (scalar >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (scalar >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (scalar & 0x3F));
    return 4;
}

/// Writes string content without its escapes and says how many bytes that are: never more than `n`, which `out` must
/// have room for. What is no escape stays as it is.
static inline size_t cscan_unescape(const uint8_t *p, size_t n, uint8_t *out) {
    size_t i = 0, o = 0;
    while (i < n) {
        const uint8_t *slash = (const uint8_t *)memchr(p + i, '\\', n - i);
        size_t run = (slash ? (size_t)(slash - p) : n) - i;
        memcpy(out + o, p + i, run);
        i += run;
        o += run;
        if (i >= n) break;
        uint8_t c = i + 1 < n ? p[i + 1] : 0;
        switch (c) {
        case '"': case '\\': case '/': out[o++] = c; i += 2; continue;
        case 'b': out[o++] = '\b'; i += 2; continue;
        case 'f': out[o++] = '\f'; i += 2; continue;
        case 'n': out[o++] = '\n'; i += 2; continue;
        case 'r': out[o++] = '\r'; i += 2; continue;
        case 't': out[o++] = '\t'; i += 2; continue;
        default: break;
        }
        int32_t unit = c == 'u' ? cscan_unit(p, n, i + 2) : -1;
        if (unit < 0) {
            out[o++] = '\\';
            i++;
            continue;
        }
        i += 6;
        uint32_t scalar = (uint32_t)unit;
        if ((unit & 0xFC00) == 0xD800 && i + 1 < n && p[i] == '\\' && p[i + 1] == 'u') {
            int32_t low = cscan_unit(p, n, i + 2);
            if (low >= 0 && (low & 0xFC00) == 0xDC00) {
                scalar = 0x10000 + ((uint32_t)(unit & 0x3FF) << 10) + (uint32_t)(low & 0x3FF);
                i += 6;
            }
        }
        o += cscan_put(scalar, out + o);
    }
    return o;
}

/// Whether every byte is of the base64 alphabet (https://www.rfc-editor.org/rfc/rfc4648#section-4), padding left out.
static inline int cscan_is_base64(const uint8_t *p, size_t n) {
    size_t i = 0;
#if defined(CSCAN_SSE2)
    const __m128i zero = _mm_setzero_si128();
    for (; n - i >= 16; i += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        // A saturated subtraction leaves 0 where the byte is at most that far above the first of its range.
        __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('/'));  // `/` stands before the digits
        letter = _mm_cmpeq_epi8(_mm_subs_epu8(letter, _mm_set1_epi8(25)), zero);
        digit = _mm_cmpeq_epi8(_mm_subs_epu8(digit, _mm_set1_epi8(10)), zero);
        __m128i good = _mm_or_si128(_mm_or_si128(letter, digit), _mm_cmpeq_epi8(v, _mm_set1_epi8('+')));
        if (_mm_movemask_epi8(good) != 0xFFFF) return 0;
    }
#elif defined(CSCAN_NEON)
    for (; n - i >= 16; i += 16) {
        uint8x16_t v = vld1q_u8(p + i);
        uint8x16_t letter = vcleq_u8(vsubq_u8(vorrq_u8(v, vdupq_n_u8(0x20)), vdupq_n_u8('a')), vdupq_n_u8(25));
        uint8x16_t digit = vcleq_u8(vsubq_u8(v, vdupq_n_u8('/')), vdupq_n_u8(10));
        if (!vminvq_u8(vorrq_u8(vorrq_u8(letter, digit), vceqq_u8(v, vdupq_n_u8('+'))))) return 0;
    }
#endif
    for (; i < n; i++) {
        uint8_t c = p[i];
        if ((uint8_t)((c | 0x20) - 'a') > 25 && (uint8_t)(c - '/') > 10 && c != '+') return 0;
    }
    return 1;
}
