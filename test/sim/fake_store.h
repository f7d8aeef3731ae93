/*
 * The fake PostgreSQL behind store/store.h: fake_store.c has links and the ways of statements,
 * fake_reads.c, fake_posts.c and fake_trust.c the requests and what is answered to them.
 */
#ifndef BALLAST_SIM_FAKE_STORE_H
#define BALLAST_SIM_FAKE_STORE_H

#include "database.h"

/* Sends it; callback is of the type that the statement's kind needs. */
void statement_submit(struct store_link *link, struct statement *statement, void *callback,
                      void *arg);

/* Each calls the callback, once. */
void reply_read(struct statement *statement, enum store_status status);
void reply_posted(struct statement *statement, enum store_status status);
void reply_trust(struct statement *statement, enum store_status status);

extern const struct store_error fake_no_error;

#endif
