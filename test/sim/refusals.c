/*
 * The table ballast.refusal: what a commit refused, under its number. The newest are kept: no link
 * is away for longer than it takes to make so many.
 */
#include "database.h"

#include <string.h>

#define NOTES_MAX 4096

static struct {
    uint64_t commit;
    int op;
    enum outcome outcome;
} notes[NOTES_MAX];
static size_t noted;

void refusals_forget(void)
{
    memset(notes, 0, sizeof notes);
    noted = 0;
}

void refusals_note(const struct statement *statement)
{
    for (int i = 0; statement->number != 0 && i < statement->count; i++) {
        if (statement->postings[i].outcome != OUTCOME_OK) {
            size_t place = noted++ % NOTES_MAX;
            notes[place].commit = statement->number;
            notes[place].op = i;
            notes[place].outcome = statement->postings[i].outcome;
        }
    }
}

void refusals_read(struct statement *statement)
{
    for (int i = 0; i < statement->count; i++) {
        struct db_posting *posting = &statement->postings[i];
        posting->outcome = OUTCOME_UNKNOWN;
        if (posting->account >= 0) {
            posting->state = db_present(posting->account);
        }
    }
    for (size_t i = 0; i < NOTES_MAX; i++) {
        if (notes[i].commit == statement->number) {
            statement->postings[notes[i].op].outcome = notes[i].outcome;
        }
    }
}
