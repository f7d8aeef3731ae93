/*
 * base/random.h: randomness from the kernel, for nonces, tokens and jitter. A translation unit of
 * its own, so that a simulator can link one that is driven by a seed.
 */
#ifndef BALLAST_BASE_RANDOM_H
#define BALLAST_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `out`; nobody can guess it. Aborts where the kernel has none to give. */
void random_bytes(void *out, size_t len);

uint64_t random_uint64(void);

/* Evenly from low to high, both included; low <= high. For delays that must not march in step. */
int64_t random_between(int64_t low, int64_t high);

/* `base` give or take a quarter, at least 1: the delay before the next attempt; base >= 0. */
int64_t random_jitter(int64_t base);

#endif
