#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(CSCAN_PORTABLE)
// Plain C, as asked for: how the tests of the fallback are built.
#elif defined(__SSE2__)
#include <emmintrin.h>
#define CSCAN_SSE2 1
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#define CSCAN_NEON 1
#endif

#if defined(CSCAN_NEON)
/// One bit per byte of a comparison's result, the first byte lowest.
static inline uint64_t cscan_bits64(uint8x16_t a, uint8x16_t b, uint8x16_t c, uint8x16_t d) {
    const uint8x16_t weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    uint8x16_t low = vpaddq_u8(vandq_u8(a, weights), vandq_u8(b, weights));
    uint8x16_t high = vpaddq_u8(vandq_u8(c, weights), vandq_u8(d, weights));
    uint8x16_t all = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}
#endif

/// Whether a byte ends plain string content: `"`, `\`, a control character, or a byte of a multi-byte character.
static inline int cscan_is_special(uint8_t c) { return c == '"' || c == '\\' || c < 0x20 || c >= 0x80; }

/// Bit k is set when `p[k]` is special. Reads exactly 16 bytes.
static inline uint64_t cscan_special16(const uint8_t *p) {
#if defined(CSCAN_SSE2)
    // Signed: bytes from 0x80 are negative, so one comparison finds them and the control characters.
    __m128i v = _mm_loadu_si128((const __m128i *)p);
    __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    return (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));
#else
    uint64_t mask = 0;
    for (int k = 0; k < 16; k++) mask |= (uint64_t)cscan_is_special(p[k]) << k;
    return mask;
#endif
}

#if defined(CSCAN_NEON)
static inline uint8x16_t cscan_special_lanes(const uint8_t *p) {
    uint8x16_t v = vld1q_u8(p);
    uint8x16_t low = vcltq_s8(vreinterpretq_s8_u8(v), vdupq_n_s8(0x20));
    return vorrq_u8(low, vorrq_u8(vceqq_u8(v, vdupq_n_u8('"')), vceqq_u8(v, vdupq_n_u8('\\'))));
}
#endif

/// Bit k is set when `p[k]` is special. Reads exactly 64 bytes.
static inline uint64_t cscan_special64(const uint8_t *p) {
#if defined(CSCAN_NEON)
    return cscan_bits64(
        cscan_special_lanes(p), cscan_special_lanes(p + 16), cscan_special_lanes(p + 32), cscan_special_lanes(p + 48));
#else
    return cscan_special16(p) | cscan_special16(p + 16) << 16 | cscan_special16(p + 32) << 32
        | cscan_special16(p + 48) << 48;
#endif
}

/// The offset of the first `\n` or `\r` at or after `i`; `n` when there is none.
static inline size_t cscan_line_end(const uint8_t *p, size_t n, size_t i) {
#if defined(CSCAN_SSE2)
    const __m128i feed = _mm_set1_epi8('\n'), ret = _mm_set1_epi8('\r');
    while (n - i >= 64 && i < n) {
        __m128i a = _mm_loadu_si128((const __m128i *)(p + i)), b = _mm_loadu_si128((const __m128i *)(p + i + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(p + i + 32)), d = _mm_loadu_si128((const __m128i *)(p + i + 48));
        a = _mm_or_si128(_mm_cmpeq_epi8(a, feed), _mm_cmpeq_epi8(a, ret));
        b = _mm_or_si128(_mm_cmpeq_epi8(b, feed), _mm_cmpeq_epi8(b, ret));
        c = _mm_or_si128(_mm_cmpeq_epi8(c, feed), _mm_cmpeq_epi8(c, ret));
        d = _mm_or_si128(_mm_cmpeq_epi8(d, feed), _mm_cmpeq_epi8(d, ret));
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d)))) {
            uint64_t mask = (uint64_t)(uint32_t)_mm_movemask_epi8(a) | (uint64_t)(uint32_t)_mm_movemask_epi8(b) << 16
                | (uint64_t)(uint32_t)_mm_movemask_epi8(c) << 32 | (uint64_t)(uint32_t)_mm_movemask_epi8(d) << 48;
            return i + (size_t)__builtin_ctzll(mask);
        }
        i += 64;
    }
    while (i < n && n - i >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(p + i));
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, feed), _mm_cmpeq_epi8(v, ret)));
        if (mask) return i + (size_t)__builtin_ctz((unsigned)mask);
        i += 16;
    }
#elif defined(CSCAN_NEON)
    while (i < n && n - i >= 16) {
        uint8x16_t v = vld1q_u8(p + i);
        uint8x16_t hit = vorrq_u8(vceqq_u8(v, vdupq_n_u8('\n')), vceqq_u8(v, vdupq_n_u8('\r')));
        if (vmaxvq_u8(hit)) break;
        i += 16;
    }
#endif
    while (i < n && p[i] != '\n' && p[i] != '\r') i++;
    return i < n ? i : n;
}
