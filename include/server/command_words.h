/*
 * server/command_words.h: words that several commands share. Where a word is wrong, the error has
 * been answered, and the function returns false.
 */
#ifndef BALLAST_SERVER_COMMAND_WORDS_H
#define BALLAST_SERVER_COMMAND_WORDS_H

#include "model/account.h"
#include "server/command_args.h"
#include "server/reply.h"

bool word_account(struct call *call, const struct resp_slice *word,
                  struct account_id *id) MUST_CHECK;

/* Options behind the first `skip` words of the command. */
bool word_options(struct call *call, struct options *options, unsigned allowed,
                  size_t skip) MUST_CHECK;

/* An option's number from low on; *value stays where the option was not given. `what` names it. */
bool word_number(struct call *call, const struct options *options, enum option option,
                 const char *what, int64_t low, int64_t high, int64_t *value) MUST_CHECK;

#endif
