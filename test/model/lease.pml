/*
 * Who may trust an era (rules T1 to T5 and T14, expelling included), for two daemons and the store.
 *
 * Claim: once an era has been drained, no daemon trusts it, then or later.
 *
 * One tick is one unit of everybody's clock; L is the lease, W the wait, in ticks. Every request
 * goes through sent -> run in the store -> replied, each at any time later: a slow network, a slow
 * backend, a paused daemon. A renewal holds its row between its statement and its commit. A request
 * whose connection broke may still run (a late backend): there is one at a time, BREAKS in all.
 *
 *   L       ticks of a lease                 ERAS      the last era's id
 *   BREAKS  connections that break           PGF     the store falls back to an older state
 */
#ifndef L
#define L 1
#endif
#ifndef ERAS
#define ERAS 2
#endif
#ifndef BREAKS
#define BREAKS 0
#endif
#define JUMP (ERAS + 2) /* T14: above whatever an older history can have granted */
#ifdef M_SHORTWAIT
#define W (L - 1)
#else
#define W L
#endif

#define max(a, b) ((a) > (b) -> (a) : (b))
#define OPEN 0
#define CLOSING 1
#define DRAINED 2
#define NONE 0
#define RENEW 1
#define CLOSE 2
#define DRAIN 3
#define OPENING 4
#define EXPEL 5
#define SENT 1
#define HELD 2 /* a renewal between its statement and its commit */
#define DONE 3

/* The store. */
byte era = 1, state = OPEN;
bool current = 1; /* the era row bears the present timeline */
bool row[2];      /* the lease is there for others to see */
byte seen[2];

/* A daemon. k_: the row as it knows it. */
byte k_era[2] = 1, k_state[2];
byte granted[2], lease[2], dropped[2];
byte request[2], stage[2];
byte t0[2];      /* what is left of a lease counted from the sending of the renewal */
byte arg[2];     /* the era, or what a renewal writes as seen */
bool closed[2];  /* the daemon knew the era to be closing when the renewal was sent */
byte r_era[2], r_state[2];
bool r_new[2], r_all[2];
byte wait[2];    /* T4: 1 + ticks of W that are left; 0: no wait */
bool all_seen[2]; /* by a list that was asked for after the first sight of the close */

/* What a daemon knows of the other's row. */
byte silence[2]; /* 1 + ticks until it is silent; 0: no row */
bool changed[2]; /* since the last list */
bool replaced[2]; /* deleted and inserted again since the last list */
bool listed[2];   /* a list has come since the last expelling */

/* A late backend. */
byte o_request, o_stage, o_arg, o_from, breaks = BREAKS;
bool o_changed, o_replaced; /* since the list that an expelling went by */

byte drained; /* the highest era ever drained */

#define TRUSTS(d) (granted[d] > 0 && lease[d] > 0)
#define CHECK assert(!(TRUSTS(0) && granted[0] <= drained) && !(TRUSTS(1) && granted[1] <= drained))
#define TICK(x) if :: x > 0 -> x-- :: else fi
#define TICK_TO_1(x) if :: x > 1 -> x-- :: else fi

#ifdef M_LATESTART
#define IN_TIME(d) true
#else
#define IN_TIME(d) (t0[d] > 0)
#endif
#ifdef M_FIRSTGRANT
#define MAY_GRANT(d) true
#else
#define MAY_GRANT(d) (!r_new[d])
#endif
/* A history that was rewound may have forgotten who holds a lease: only the wait will do. */
#ifdef M_FORGOTTEN
#define LISTS_ALL(e) true
#else
#define LISTS_ALL(e) ((e) != JUMP)
#endif
#ifdef M_READOPT
#define NOT_DROPPED(d) true
#else
#define NOT_DROPPED(d) (r_era[d] > dropped[d])
#endif
#ifdef M_NOCAS
#define DRAINS(e) (state == CLOSING)
#else
#define DRAINS(e) (state == CLOSING && era == (e))
#endif
/* The row is as in the list, whatever the era: nobody has renewed it since, nor made it anew. Without
 * the number that its making gave it (`born`), one that was made anew and has as many renewals passes. */
#ifdef M_EXPELOPEN
#define EXPELS(changed, replaced) (!(changed) || (replaced))
#else
#ifdef M_EXPELANY
#define EXPELS(changed, replaced) true
#else
#define EXPELS(changed, replaced) (!(changed))
#endif
#endif
#ifdef M_NOTIFYSEEN
#define HAS_SEEN(o) true
#else
#define HAS_SEEN(o) (!row[o] || seen[o] >= era)
#endif
#ifdef M_OPENEARLY
#define MAY_OPEN(d) (k_state[d] != OPEN)
#else
#define MAY_OPEN(d) (k_state[d] == DRAINED)
#endif
#ifdef M_SILENTDRAIN
#define WAIT_OVER(d) (wait[d] == 1 || silence[d] == 1)
#else
#define WAIT_OVER(d) (wait[d] == 1)
#endif

inline drop(d, e) {
    granted[d] = 0;
    lease[d] = 0;
    dropped[d] = max(dropped[d], e)
}

/* The row that came with a reply. */
inline absorb(d) {
    if
    :: r_era[d] < k_era[d] -> drop(d, k_era[d])
    :: else
    fi;
    if
#ifdef M_EARLYLIST
    :: false
#else
    :: r_state[d] != CLOSING -> all_seen[d] = 0
    :: r_state[d] == CLOSING && (r_era[d] != k_era[d] || k_state[d] != CLOSING) -> all_seen[d] = 0
#endif
    :: else
    fi;
    if
    :: r_state[d] == CLOSING && (r_era[d] != k_era[d] || k_state[d] != CLOSING) ->
        wait[d] = W + 1
    :: r_state[d] != CLOSING -> wait[d] = 0
    :: else
    fi;
    k_era[d] = r_era[d];
    k_state[d] = r_state[d];
    if
    :: k_state[d] != OPEN && dropped[d] < k_era[d] -> drop(d, k_era[d])
    :: else
    fi
}

inline renewed(d) {
    all_seen[d] = all_seen[d] || (r_all[d] && closed[d] && r_state[d] == CLOSING &&
                                  r_era[d] == k_era[d] && LISTS_ALL(r_era[d]));
    absorb(d);
    listed[d] = 1;
#ifdef M_EARLYLIST
    all_seen[d] = r_all[d];
#endif
    if
    :: r_state[d] == OPEN && NOT_DROPPED(d) && MAY_GRANT(d) && IN_TIME(d) ->
        granted[d] = r_era[d];
#ifdef M_LATESTART
        lease[d] = L
#else
        lease[d] = t0[d]
#endif
    :: else ->
        if
        :: granted[d] > 0 -> drop(d, granted[d])
        :: else
        fi
    fi
}

inline over(d) {
    request[d] = NONE; stage[d] = 0; t0[d] = 0; arg[d] = 0; closed[d] = 0;
    r_era[d] = 0; r_state[d] = 0; r_new[d] = 0; r_all[d] = 0
}

/* T14: the first to touch the store on a new timeline closes the era. */
inline note_timeline() {
#ifndef M_NOTL
    if :: !current -> current = 1; era = JUMP; state = CLOSING :: else fi
#else
    skip
#endif
}

/* What the store does with a request of daemon d; the row afterwards goes into the reply. */
inline run_in_store(d, kind, e, since, anew) {
    note_timeline();
    if
    :: kind == CLOSE && state == OPEN && era == e -> state = CLOSING
    :: kind == DRAIN && DRAINS(e) ->
        state = DRAINED;
        drained = max(drained, era)
#ifdef M_OPENEARLY
    :: kind == OPENING && state != OPEN && era == e ->
        state = OPEN; era = e + 1; drained = max(drained, e)
#else
    :: kind == OPENING && state == DRAINED && era == e ->
        state = OPEN; era = e + 1
#endif
    :: kind == EXPEL && row[1 - d] && EXPELS(since, anew) && stage[1 - d] != HELD &&
       !(o_from == 1 - d && o_stage == HELD) ->
        row[1 - d] = 0; seen[1 - d] = 0
    :: else
    fi
}

inline commit_renewal(d, s) {
    if
    :: !row[d] -> replaced[1 - d] = 1; seen[d] = s; o_replaced = o_replaced || (o_request == EXPEL && o_from == 1 - d)
    :: else -> seen[d] = max(seen[d], s)
    fi;
    row[d] = 1;
    changed[1 - d] = 1;
    o_changed = o_changed || (o_request == EXPEL && o_from == 1 - d)
}

active proctype Clock() {
    do
    :: atomic {
        lease[0] + lease[1] + t0[0] + t0[1] > 0 || wait[0] > 1 || wait[1] > 1 ||
            silence[0] > 1 || silence[1] > 1 ->
        TICK(lease[0]); TICK(lease[1]); TICK(t0[0]); TICK(t0[1]);
        TICK_TO_1(wait[0]); TICK_TO_1(wait[1]); TICK_TO_1(silence[0]); TICK_TO_1(silence[1]);
        if :: lease[0] == 0 -> granted[0] = 0 :: else fi;
        if :: lease[1] == 0 -> granted[1] = 0 :: else fi
    }
    od
}

proctype Daemon(byte d) {
    do
    /* What it may ask for. */
    :: atomic { request[d] == NONE ->
        request[d] = RENEW; stage[d] = SENT; t0[d] = L; arg[d] = dropped[d];
        closed[d] = (k_state[d] == CLOSING) }
    :: atomic { request[d] == NONE && k_state[d] == OPEN ->
#ifndef M_KEEPOWN
        drop(d, k_era[d]);
#endif
        request[d] = CLOSE; stage[d] = SENT; arg[d] = k_era[d] }
    :: atomic { request[d] == NONE && k_state[d] == CLOSING && (WAIT_OVER(d) || all_seen[d]) ->
        request[d] = DRAIN; stage[d] = SENT; arg[d] = k_era[d] }
    :: atomic { request[d] == NONE && MAY_OPEN(d) && (k_era[d] < ERAS || k_era[d] == JUMP) ->
        request[d] = OPENING; stage[d] = SENT; arg[d] = k_era[d] }
    :: atomic { request[d] == NONE && silence[d] == 1 && listed[d] ->
        request[d] = EXPEL; stage[d] = SENT; listed[d] = 0 }

    /* The store at work. */
    :: atomic { request[d] == RENEW && stage[d] == SENT && !(o_from == d && o_stage == HELD) ->
        note_timeline();
        r_era[d] = era; r_state[d] = state; r_new[d] = !row[d];
        r_all[d] = HAS_SEEN(1 - d);
        /* The list: is the other's row there, and has it been renewed since the last one? */
        if
        :: !row[1 - d] -> silence[d] = 0
        :: row[1 - d] && (changed[d] || silence[d] == 0) -> silence[d] = W + 1
        :: else
        fi;
        changed[d] = 0; replaced[d] = 0;
        stage[d] = HELD }
    :: atomic { stage[d] == HELD ->
#ifdef M_SEENTXN
        if :: r_state[d] != OPEN -> arg[d] = max(arg[d], r_era[d]) :: else fi;
#endif
        commit_renewal(d, arg[d]); stage[d] = DONE }
    :: atomic { request[d] != RENEW && stage[d] == SENT ->
        run_in_store(d, request[d], arg[d], changed[d], replaced[d]);
        r_era[d] = era; r_state[d] = state; stage[d] = DONE; CHECK }

    /* Replies. */
    :: atomic { stage[d] == DONE ->
        if
        :: request[d] == RENEW -> renewed(d)
        :: request[d] == EXPEL
        :: else -> absorb(d)
        fi;
        over(d); CHECK }

#if BREAKS > 0
    :: atomic { request[d] != NONE && breaks > 0 && o_request == NONE ->
        breaks--;
        if
        :: stage[d] != DONE ->
            o_request = request[d]; o_stage = stage[d]; o_arg = arg[d]; o_from = d;
            o_changed = request[d] == EXPEL && changed[d];
            o_replaced = request[d] == EXPEL && replaced[d]
        :: else
        fi;
        over(d) }
#endif
    od
}

#if BREAKS > 0
active proctype Late_backend() {
    do
    :: atomic { o_request == RENEW && o_stage == SENT && stage[o_from] != HELD -> o_stage = HELD }
    :: atomic { o_request == RENEW && o_stage == HELD ->
        commit_renewal(o_from, o_arg); o_request = NONE; o_stage = 0; o_arg = 0; o_from = 0 }
    :: atomic { o_request != NONE && o_request != RENEW ->
        run_in_store(o_from, o_request, o_arg, o_changed, o_replaced);
        o_changed = 0; o_replaced = 0;
        o_request = NONE; o_stage = 0; o_arg = 0; o_from = 0; CHECK }
    od
}
#endif

#ifdef PGF
/* A replica that lagged is promoted: commits are forgotten. */
proctype Failover() {
    byte e, s, s0, s1;
    bool w0, w1;
    atomic { e = era; s = state; s0 = seen[0]; s1 = seen[1]; w0 = row[0]; w1 = row[1] };
    atomic { stage[0] != HELD && stage[1] != HELD ->
        era = e; state = s; seen[0] = s0; seen[1] = s1; row[0] = w0; row[1] = w1; current = 0;
        changed[0] = 1; changed[1] = 1; replaced[0] = 1; replaced[1] = 1 }
}
#endif

init {
    atomic {
        row[0] = 1;
        if
        :: row[1] = 1
        :: skip /* the other daemon is about to start */
        fi;
        run Daemon(0);
        run Daemon(1);
#ifdef PGF
        run Failover();
#endif
    }
}
