/*
 * ops/books.h: whether the rows of accounts are what their journals say, for all accounts at once, in
 * one pass over either table.
 *
 * Each account begins with its row: what is left of the balance, and a bit for every version up to
 * the row's. Each entry of the journal takes from both, and an account agrees if in the end
 * nothing is left and each bit has been set, once.
 *
 * The tables need not be of one snapshot, as long as the accounts were read first: the journal is
 * only added to, so that every version up to that of the row stands in any later snapshot, and what
 * came since bears a higher one and is passed over.
 *
 * An account takes 40 to 80 bytes, and a bit a version; its id is not kept but as 64 bits of a keyed
 * hash. Two accounts that share one would disagree, not agree: whoever looks again sees.
 */
#ifndef BALLAST_OPS_BOOKS_H
#define BALLAST_OPS_BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

struct books;

struct books *books_create(void) MUST_CHECK;
void books_free(struct books *books);
/* Forgets all accounts. */
void books_clear(struct books *books);

/* The row of an account; minor units. */
void books_add_account(struct books *books, const char *id, size_t len, int64_t balance,
                       int64_t version);

enum books_entry_end {
    BOOKS_TAKEN,
    BOOKS_LATER,  /* of a version beyond the row's */
    BOOKS_NO_ROW, /* there was no such account when the rows were read */
};
/* An entry of the journal: this version changed the balance by the amount. */
enum books_entry_end books_add_entry(struct books *books, const char *id, size_t len,
                                     int64_t version, int64_t amount) MUST_CHECK;

/* After the last entry. */
size_t books_count_wrong(const struct books *books);
/* Of an account that was added. */
bool books_is_wrong(const struct books *books, const char *id, size_t len);

#endif
