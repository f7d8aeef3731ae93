/*
 * server/command_mutation.h: what the handlers of mutations have in common: an item of the engine's,
 * filled from the words, and submitted.
 *
 *   struct write_item *item = mutating_begin(call, MUTATION_HOLD);
 *   if (item == NULL) {
 *       return;
 *   }
 *   bool ok = word_account(...) && mutating_amount(...) && mutating_options(...);
 *   mutating_submit(call, item, ok);
 *
 * What takes a word answers with the error where it is wrong, and returns false.
 */
#ifndef BALLAST_SERVER_COMMAND_MUTATION_H
#define BALLAST_SERVER_COMMAND_MUTATION_H

#include "core/engine.h"
#include "server/command_args.h"
#include "server/reply.h"

/* A zeroed item; NULL: the queue is full, and that has been answered. */
struct write_item *mutating_begin(struct call *call, enum mutation_kind kind) MUST_CHECK;

/* Submits what the words have made of the item, unless they were wrong (answered already). */
void mutating_submit(struct call *call, struct write_item *item, bool words_ok);

/* Answers where the model says that something is wrong with a word; true for NULL. */
bool mutating_fits(struct call *call, const char *wrong) MUST_CHECK;

bool mutating_amount(struct call *call, const struct resp_slice *word, int64_t *amount) MUST_CHECK;
bool mutating_floor(struct call *call, const struct resp_slice *word, int64_t *floor) MUST_CHECK;

/* The id of a transfer, hold or charge; `what` names it. */
bool mutating_target(struct call *call, const struct resp_slice *word, const char *what,
                     uint64_t *target) MUST_CHECK;

/* The other side of a movement; NULL: @world. */
bool mutating_system(struct call *call, const struct resp_slice *word,
                     struct account_id *id) MUST_CHECK;

/* The options behind `skip` words; KEY and MEMO go into the mutation. */
bool mutating_options(struct call *call, struct options *options, unsigned allowed, size_t skip,
                      struct mutation *m) MUST_CHECK;

#endif
