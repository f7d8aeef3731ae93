/* The words of mutations: what clients ask for, and how a daemon and the store are told of it. */
#ifndef BALLAST_SIM_WORDS_H
#define BALLAST_SIM_WORDS_H

#include "database.h"

/* Of any kind, on any accounts, with a key of its own. */
void words_choose(struct db_posting *words);
/* The same words with something else in them. */
void words_alter(struct db_posting *words);
void words_to_mutation(struct mutation *mutation, const struct db_posting *words);
void words_of_mutation(struct db_posting *words, const struct mutation *mutation);

#endif
