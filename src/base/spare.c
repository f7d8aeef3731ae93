/* Blocks that wait are chained through their own first bytes. */
#include "base/spare.h"

#include <assert.h>
#include <stdlib.h>

struct spare_block {
    struct spare_block *next;
};

void spare_init(struct spare *spare, size_t block, int keep)
{
    assert(block >= sizeof(struct spare_block));
    *spare = (struct spare){.block = block, .keep = keep};
}

void spare_free(struct spare *spare)
{
    while (spare->first != NULL) {
        struct spare_block *block = spare->first;

        spare->first = block->next;
        free(block);
    }
    spare->count = 0;
}

void *spare_take(struct spare *spare, size_t size)
{
    struct spare_block *block = spare->first;

    if (size > spare->block) {
        return malloc(size);
    }
    if (block == NULL) {
        return malloc(spare->block);
    }
    spare->first = block->next;
    spare->count--;
    return block;
}

void spare_give(struct spare *spare, void *memory, size_t size)
{
    struct spare_block *block = memory;

    if (memory == NULL) {
        return;
    }
    if (size > spare->block || spare->count == spare->keep) {
        free(memory);
        return;
    }
    block->next = spare->first;
    spare->first = block;
    spare->count++;
}
