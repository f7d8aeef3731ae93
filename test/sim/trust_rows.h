/*
 * The era's row and the leases of the fake PostgreSQL, and what sql/migrations/0004_trust.sql does
 * to them. database.c asks here about every statement: whether its locks are free, to take and to
 * leave them, to compute, and to commit.
 */
#ifndef BALLAST_SIM_TRUST_ROWS_H
#define BALLAST_SIM_TRUST_ROWS_H

#include "database.h"

void trust_rows_begin(void);
bool trust_rows_are_free(const struct statement *statement);
/* holder NULL: the locks of the statement are left. */
void trust_rows_hold(struct statement *statement, const struct statement *holder);
void trust_rows_run(struct statement *statement);
void trust_rows_commit(struct statement *statement);

bool trust_rows_take_postings(void); /* T14: whether an operator has accepted the timeline */

/* What a failover falls back to: an era that is open, so that it forgets the close. */
void trust_rows_fail_over(void);
void trust_rows_heal(void);

#endif
