/* The words of a mutation in a script; script.h says what they are. */
#ifndef BALLAST_CONFORMANCE_SCRIPT_WORDS_H
#define BALLAST_CONFORMANCE_SCRIPT_WORDS_H

#include "model/mutation.h"

#define SCRIPT_NUMBERS_MAX 256

/* Ids in the order in which they appeared: sequences have gaps. */
struct script_ids {
    uint64_t ids[SCRIPT_NUMBERS_MAX];
    size_t count;
};

struct script_numbers {
    struct script_ids transfers, holds, charges;
};

/* Its number, from 1; the next one for an id that was not there yet. */
size_t script_number(struct script_ids *ids, uint64_t id);

/* False where the words are none of a mutation; *m is to be cleared in any case. */
bool script_mutation(struct mutation *m, const struct script_numbers *numbers, char **words,
                     int count);

#endif
