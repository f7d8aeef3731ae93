/*
 * What a take-over finds (rule T12): the commits of one daemon on one account within an era that stays
 * open, its mark of what is published, and a survivor.
 *
 * Claim: once the lease has gone and what was announced is published, no version is hidden by the value
 * in the cache.
 *
 * The daemon may die at any step; a statement of its that was sent runs all the same, and a publish
 * arrives or does not. That the survivor may take the row at all is in lease.pml.
 *
 *   WORKERS  that post            COMMITS  in all            RENEWALS  of the lease
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef COMMITS
#define COMMITS 3
#endif
#ifndef RENEWALS
#define RENEWALS 4
#endif

#define max(a, b) ((a) > (b) -> (a) : (b))
#define NONE 0
#define SENT 1
#define RUNNING 2 /* has its transaction and the share of the lease's row, not the account's lock */
#define DONE 3
#define VOID 4

/* The store. */
byte transactions = 1, version = 1, changed_by = 1;
bool row = 1, fenced, announced;
byte published = 1, sharers; /* of the row */

byte value = 1; /* in the cache */

/* The daemon. */
bool dead;
byte commits = COMMITS;
byte turn, postings[2];
byte mark, turned_at;
byte stage[WORKERS], made[WORKERS];

proctype Worker(byte w) {
    byte mine, own;
    do
    :: atomic { !dead && commits > 0 -> commits--; mine = turn % 2 };
#ifndef M_LATECOUNT
       atomic { !dead -> postings[mine]++ };
#endif
       atomic { !dead -> stage[w] = SENT };
#ifdef M_LATECOUNT
       atomic { !dead -> postings[mine]++ };
#endif
       atomic { !dead && stage[w] >= DONE };
       if
       :: atomic { stage[w] == DONE && !dead -> own = made[w] };
          atomic { value = max(value, own) }; /* arrives, whether or not somebody waits for it */
          atomic { !dead -> postings[mine]--; stage[w] = NONE; own = 0; mine = 0 }
       :: atomic { stage[w] == VOID && !dead -> postings[mine]--; stage[w] = NONE; mine = 0 }
       fi
    od
}

/* A backend of the store. */
proctype Backend(byte w) {
    byte transaction;
    do
    :: atomic { stage[w] == SENT && row && !fenced ->
        transactions++; transaction = transactions; sharers++; stage[w] = RUNNING }
    :: atomic { stage[w] == SENT && (!row || fenced) -> stage[w] = VOID }
    :: atomic { stage[w] == RUNNING ->
        version++; made[w] = version; changed_by = transaction; sharers--; transaction = 0;
        stage[w] = DONE }
    od
}

proctype Control() {
    byte left = RENEWALS, answer;
    do
    :: left > 0 ->
        left--;
        atomic { !dead && row && !fenced ->
            published = max(published, mark); transactions++; answer = transactions };
        atomic { !dead ->
#ifdef M_MARKEARLY
            mark = turned_at; turned_at = answer; turn++
#else
            if
            :: postings[(turn + 1) % 2] == 0 ->
#ifdef M_LATEMARK
                mark = answer;
#else
                mark = turned_at;
#endif
                turned_at = answer; turn++
            :: else
            fi
#endif
            ; answer = 0 }
    :: left == 0 -> break
    od
}

#ifdef M_NOFENCE
#define MAY_LOOK true
#else
#define MAY_LOOK (sharers == 0)
#endif
proctype Survivor() {
    dead = 1;
    atomic { MAY_LOOK ->
#ifndef M_NOFENCE
        fenced = 1
#endif
    };
#ifndef M_UNANNOUNCED
    atomic { announced = (changed_by >= published) };
#endif
    atomic { sharers == 0 -> row = 0 };
    atomic { value = (announced -> max(value, version) : value) };
    assert(value == version)
}

init {
    atomic {
        byte w;
        for (w : 0 .. WORKERS - 1) { run Worker(w); run Backend(w) }
        run Control();
        run Survivor();
        w = 0
    }
}
