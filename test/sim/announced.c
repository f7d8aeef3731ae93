/* Accounts that were changed in SQL, until a tail has published them. */
#include <string.h>

#include "database.h"

static int64_t announced[ACCOUNTS_MAX]; /* the mark of an account; 0: none */
static int64_t announcements;

void announcements_begin(void)
{
    memset(announced, 0, sizeof announced);
    announcements = 0;
}

void announce(int account)
{
    announced[account] = ++announcements;
}

/* A page of what is announced, from the account in statement->number on. */
void read_announced(struct statement *statement)
{
    int limit = statement->count;
    statement->era = *db_era();
    statement->count = 0;
    for (int i = (int)statement->number; i < ACCOUNTS_MAX && statement->count < limit; i++) {
        if (announced[i] != 0) {
            statement->accounts[statement->count] = i;
            statement->marks[statement->count] = announced[i];
            statement->states[statement->count++] = db_present(i);
        }
    }
}

void forget_announced(const struct statement *statement)
{
    for (int i = 0; i < statement->count; i++) {
        int64_t *mark = &announced[statement->accounts[i]];
        *mark = *mark == statement->marks[i] ? 0 : *mark;
    }
}
