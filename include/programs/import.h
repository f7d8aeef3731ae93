/*
 * programs/import.h: a file of credits and debits, through the daemon.
 *
 * Rows of different accounts are pipelined; of one account, one is under way at a time. The next is
 * sent when that one is answered, so that a row that was shed, or lost with a connection, is sent
 * again before its successors: every balance along the way is the one that the file's order makes,
 * whatever is killed meanwhile. A key is done once, so that anything may be sent again.
 *
 * After a row that cannot be taken nothing that stands behind it is sent; what was under way is
 * waited for, and what stands before it is done.
 */
#ifndef BALLAST_PROGRAMS_IMPORT_H
#define BALLAST_PROGRAMS_IMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "model/account.h"
#include "programs/import_input.h"

#define IMPORT_TEXT_ROOM 512

struct import_options {
    const struct config *config;
    const struct asset *asset; /* accounts are opened with it; NULL: they must be open */
    int64_t floor;
    int64_t window;      /* rows under way at once, of all accounts */
    int64_t patience_us; /* how long nothing may move */
    /* May be NULL. share: of the file, below 0 = unknown. */
    void (*progress)(void *ctx, uint64_t rows, double share);
    void (*waiting)(void *ctx, const char *why); /* nothing moves for now: once each time */
    void *ctx;
};

enum import_end {
    IMPORT_DONE,
    IMPORT_BAD_ROW,     /* syntax, or refused by the daemon */
    IMPORT_DIFFERENCE,  /* the balance is not the one in the file */
    IMPORT_BAD_INPUT,   /* the file cannot be read */
    IMPORT_UNREACHABLE, /* nothing moved for longer than the patience */
    IMPORT_REFUSED      /* the daemon does not let us in */
};

struct import_result {
    enum import_end end;
    uint64_t done;               /* rows answered, duplicates included */
    uint64_t duplicates;         /* of them, those that had been done before */
    uint64_t checked;            /* of them, those whose balance was compared */
    uint64_t opened;             /* accounts */
    uint64_t retried;            /* rows sent again */
    uint64_t line;               /* of the first row that was not taken; 0: none */
    char text[IMPORT_TEXT_ROOM]; /* why not */
};

void import_run(const struct import_options *options, struct import_input *input,
                struct import_result *result);

#endif
