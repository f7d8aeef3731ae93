/*
 * What must hold, checked at every reply: versions never go back for anybody, one balance a
 * version, every key once, a "not applied" that is true, an answer in time.
 */
#ifndef BALLAST_SIM_CHECKER_H
#define BALLAST_SIM_CHECKER_H

#include "base/attributes.h"
#include "database.h"
#include "world.h"

void checker_begin(void);
void checker_fail(int account, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- versions ---------------------------------------------------------------------------------*/

/* The highest version that anybody was shown or had acknowledged so far. */
uint64_t checker_floor(int account);
/* Somebody is shown this state, whole, by a request that began when the floor was `least`. */
void checker_shown(const char *who, const char *how, int account, const struct account_state *state,
                   uint64_t least);
/* The same of a version of which only the balance is shown. */
void checker_shown_balance(const char *who, const char *how, int account,
                           const struct account_state *state, uint64_t least);
/* Marked as stale: any version that there was. */
void checker_shown_stale(int account, const struct account_state *state);

/* An EXPIRE is acknowledged: it has ended so many holds, from that one on (db_expiry()). */
void checker_expired(uint64_t first, int count);

/* --- what hurts -------------------------------------------------------------------------------*/

/* Somebody is told that this state lets him spend the amount, or does not: it must be so of the
 * state that the store had. */
void checker_may_spend(int account, const struct account_state *state, int64_t amount, bool may);
/* A refusal for lack of money, of a request that was sent at that time of the world: no hold was in
 * its way whose time had been up by then. */
void checker_refused_for_money(int account, const struct account_state *state, int64_t sent_at);

/* --- keys -------------------------------------------------------------------------------------*/

/* A new key for a mutation of these words; cursed: the store refuses any batch with it. */
uint64_t checker_key_new(const struct db_posting *words, bool cursed);
uint64_t checker_key_count(void);
const struct db_posting *checker_key_words(uint64_t key);
bool checker_key_is_applied(uint64_t key);
bool checker_key_is_cursed(uint64_t key);
/* The number in the text "k<number>"; fails where nobody ever used such a key. */
uint64_t checker_key_number(const char *text, size_t len);

void checker_key_submitted(uint64_t key);
/* The daemon that was asked is gone: anything may have happened. */
void checker_key_lost(uint64_t key);
void checker_key_answered(uint64_t key, const struct mutation_result *result);
/* The store commits it. */
void checker_applied(uint64_t key, const struct db_posting *posting);

#endif
