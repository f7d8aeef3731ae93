/*
 * base/siphash.h: SipHash-2-4 with a 64-bit result, after J.-P. Aumasson and D. J. Bernstein,
 * "SipHash: a fast short-input PRF" (INDOCRYPT 2012). A keyed checksum: whoever does not know
 * the key cannot make a text that passes.
 */
#ifndef BALLAST_BASE_SIPHASH_H
#define BALLAST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_BYTES 16

/* The hash of `len` bytes; the same on machines of either byte order. */
uint64_t siphash24(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES]);

#endif
