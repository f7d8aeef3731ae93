/*
 * base/mutant.h: planted bugs, one for each rule that could be broken unnoticed. In the product
 * MUTANT(name) is the constant 0 and its branch is not even compiled; in the simulator's build
 * (-DBALLAST_SIM) it asks whether that bug was chosen, and the simulator must find it.
 *
 * A row: the name, the rule of the design that it breaks, and how.
 */
#ifndef BALLAST_BASE_MUTANT_H
#define BALLAST_BASE_MUTANT_H

/* clang-format off */
#define MUTANT_ROWS(X)                                                                             \
    X(ALLOWSTALE,  "inv 6", "CANSPEND allows by a value that is marked as stale")                  \
    X(DENYCACHE,   "inv 6", "CANSPEND denies by a value of the cache")                             \
    X(DOUBTNO,     "inv 2", "a commit in doubt is answered UNAVAILABLE")                           \
    X(DUP,         "T7",    "a duplicate is acknowledged without its publish")                     \
    X(EARLYCHK,    "T6",    "the lease is checked with a time from before the request")            \
    X(EXPELOPEN,   "T12",   "a late expelling takes the row of a daemon that came back")           \
    X(EXPIRE,      "T4",    "the wait counts from the last renewal seen, not from the close")      \
    X(EXPIREHIDE,  "T7",    "expiries of holds are posted and not published")                      \
    X(FILLCURERA,  "T9",    "a fill is tagged with the era at the time of the fill")               \
    X(FILLNOTOK,   "T9",    "a fill needs no token")                                               \
    X(FIRSTLEASE,  "T4",    "the renewal that made the lease row grants trust")                    \
    X(HELDLOST,    "inv 6", "the value in the cache forgets what is held")                         \
    X(INPLACE,     "T13",   "a batch does not compare the replid under which it was read")         \
    X(JOIN,        "T6",    "a read joins a statement that was sent before it came")               \
    X(JUMP,        "T14",   "a ticket is settled by the higher id that a new timeline gives")      \
    X(LATESTART,   "T1",    "a lease counts from the reply")                                       \
    X(LEAVER,      "T1",    "who is about to give its lease back adopts an era once more")         \
    X(MARKEARLY,   "T12",   "the mark of what is published passes commits that are not")           \
    X(NEGATIVE,    "T10",   "a negative entry is written over a newer value")                      \
    X(NEWKEY,      "inv 1", "what is sent again carries a new key")                                \
    X(NOCAS,       "T4",    "a stale closer drains a later era")                                   \
    X(NODRAIN,     "T4",    "an era is drained without any wait")                                  \
    X(NORUNID,     "T6",    "the Redis behind the connection is not compared with the era's")      \
    X(NOTIFYSEEN,  "T2",    "a daemon that was notified counts as one that has seen the close")    \
    X(NOTL,        "T14",   "an era of an older timeline is trusted")                              \
    X(OLDBACKEND,  "inv 2", "what is sent again may overtake the statement that is in doubt")      \
    X(OLDERA,      "T6",    "a value of another era is believed")                                  \
    X(OPENEARLY,   "T5",    "an era opens before the one before it is drained")                    \
    X(ORDER,       "T6",    "the reads of a connection show versions as they come")                \
    X(POSTDRAINED, "T7b",   "a posting that saw the era drained is shown at once")                 \
    X(PUBCREATE,   "T8",    "a publish creates an absent key")                                     \
    X(PUBKEEPTOK,  "T9",    "a publish leaves a token in force")                                   \
    X(PUBOLDER,    "T8",    "a publish overwrites a newer version")                                \
    X(PUBOVERTOK,  "T8",    "a publish writes its value over a token")                             \
    X(QUERYSHOW,   "T7",    "a query is answered without ENSURE")                                  \
    X(RBERA,       "T9",    "a rebuild fills under the era that is trusted at the time of the fill") \
    X(RBFILL,      "T11",   "a fill does not mark its accounts for a rebuild")                     \
    X(RBGUARD,     "T11",   "a rebuild writes its row over a mark")                                \
    X(RBPUB,       "T11",   "a publish does not mark its accounts for a rebuild")                  \
    X(RBROW,       "T9",    "a rebuild fills with the rows of its page, read before the token")    \
    X(RBVOID,      "T11",   "a rebuild writes its row though its marks are gone")                  \
    X(READOPT,     "T1",    "an era that was dropped is adopted again")                            \
    X(REFUSED,     "T7",    "a refusal is answered without its publish")                           \
    X(SEENTXN,     "T2",    "seen is written by the renewal that reads the close")                 \
    X(SHORTWAIT,   "T4",    "the wait is shorter than the lease")                                  \
    X(SHOW,        "T7",    "a read of the store is answered without ENSURE")                      \
    X(UNANNOUNCED, "T12",   "a dead daemon is expelled and its commits are not announced")         \
    X(WPREERA,     "T7c",   "a ticket is settled by a row that was read before it")                \
    X(WSTALE,      "T7a",   "a publish is confirmed without trust")
/* clang-format on */

enum mutant {
    MUTANT_NONE,
#define MUTANT_ENUM(name, rule, text) MUTANT_##name,
    MUTANT_ROWS(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANT_COUNT
};

#ifdef BALLAST_SIM
#include <stdbool.h>

#define MUTANT(name) __builtin_expect(mutant_chosen == MUTANT_##name, 0)
extern enum mutant mutant_chosen;
extern bool mutant_saw_drained; /* the statement that is answered now saw the era drained */
#else
#define MUTANT(name) 0
#define mutant_saw_drained 0
#endif

#endif
