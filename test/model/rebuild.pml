/*
 * A rebuild's writes under marks (rule T11), within one era: two writers, a filler, evictions and
 * one account.
 *
 * Claim: a value that stands in the cache is never older than what was acknowledged.
 *
 * Each script of Redis is one step; whatever was sent may arrive at any later time, or never.
 *
 *   WRITES   postings, each with its publish      EVICTIONS   keys lost, the marks' too
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef EVICTIONS
#define EVICTIONS 3
#endif
#define ABSENT 0
#define IS_TOKEN(c) ((c) >= 200) /* 200 and the number of the process */

byte row = 1, cache = ABSENT, acknowledged = 1, evictions = EVICTIONS;
bool marks, marked;

#define max(a, b) ((a) > (b) -> (a) : (b))
#define CHECK assert(cache == ABSENT || cache >= acknowledged) /* tokens are above all */

#ifdef M_RBPUB
#define MARK_PUBLISH skip
#else
#define MARK_PUBLISH marked = marked || marks
#endif
#ifdef M_RBFILL
#define MARK_FILL skip
#else
#define MARK_FILL marked = marked || marks
#endif
#ifdef M_RBGUARD
#define MAY_WRITE(nonce) true
#else
#ifdef M_RBVOID
#define MAY_WRITE(nonce) (!marked)
#else
#define MAY_WRITE(nonce) (marks && !marked)
#endif
#endif

/* T8; what is confirmed is acknowledged. */
inline publish(v) {
    if
    :: IS_TOKEN(cache) -> cache = ABSENT
    :: cache != ABSENT && !IS_TOKEN(cache) -> cache = max(cache, v)
    :: else
    fi
}

active [WRITES] proctype Writer() {
    byte v;
    atomic { row++; v = row };
    atomic { publish(v); MARK_PUBLISH };
    atomic { acknowledged = max(acknowledged, v); CHECK }
}

/* T9. Showing is acknowledging (T7). */
active [2] proctype Filler() {
    byte v;
    bool own;
    atomic { if :: cache == ABSENT -> cache = 200 + _pid; own = 1 :: else fi };
    v = row;
    atomic {
        if
        :: own && cache == 200 + _pid -> cache = v
        :: else -> publish(v)
        fi;
        MARK_FILL;
        CHECK
    };
    atomic { acknowledged = max(acknowledged, v); CHECK }
}

active proctype Rebuild() {
    byte v;
#ifdef M_RBLATE
    v = row;
    atomic { marks = 1; marked = 0 };
#else
    atomic { marks = 1; marked = 0 };
    v = row;
#endif
    atomic {
        if :: MAY_WRITE(0) && cache == ABSENT -> cache = v :: else fi;
        CHECK
    }
}

active proctype Redis() {
    do
    :: atomic { evictions > 0 && cache != ABSENT -> cache = ABSENT; evictions-- }
    :: atomic { evictions > 0 && marks -> marks = 0; marked = 0; evictions-- }
    :: evictions == 0 -> break
    od
}
