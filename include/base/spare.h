/*
 * base/spare.h: blocks of memory of about one size, kept for the next who needs one, so that a
 * steady state allocates nothing. For arrays whose length a request chooses: objects of one size
 * belong into a pool.
 *
 * One thread. What is longer than a block is allocated and freed as it comes.
 */
#ifndef BALLAST_BASE_SPARE_H
#define BALLAST_BASE_SPARE_H

#include <stddef.h>

#include "base/attributes.h"

struct spare {
    size_t block; /* bytes of one */
    int keep;     /* so many wait at most */
    int count;
    struct spare_block *first;
};

/* Blocks of `block` bytes, of which `keep` may wait. */
void spare_init(struct spare *spare, size_t block, int keep);
void spare_free(struct spare *spare);

/* Memory of `size` bytes or more, with anything in it; NULL: there is none. */
void *spare_take(struct spare *spare, size_t size) MUST_CHECK;
/* Gives it back, with the size that it was asked for with. */
void spare_give(struct spare *spare, void *memory, size_t size);

#endif
