/*
 * base/siphash.h: SipHash with a 64-bit result, after J.-P. Aumasson and D. J. Bernstein,
 * "SipHash: a fast short-input PRF" (INDOCRYPT 2012). A keyed checksum: whoever does not know
 * the key cannot make a text that passes. 2-4 is the paper's choice; 1-3, one round a word and
 * three at the end, is its faster one for where nobody gets to see the hashes of chosen texts by
 * the million.
 */
#ifndef BALLAST_BASE_SIPHASH_H
#define BALLAST_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY_BYTES 16

/* The hash of `len` bytes; the same on machines of either byte order. */
uint64_t siphash24(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES]);
uint64_t siphash13(const void *data, size_t len, const uint8_t key[SIPHASH_KEY_BYTES]);

#endif
