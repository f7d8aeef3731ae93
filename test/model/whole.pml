/*
 * The whole protocol on a small bound: leases, closing and draining of eras together with commits,
 * publishes, tokens, fills and reads; one account, two daemons, up to two Redis processes.
 *
 * Claim: every answer is at least what was acknowledged before the read began, and what the client
 * had seen before (invariants 3 and 4). Version 1 stands at the beginning; 0 is no account.
 *
 * Whatever is sent may arrive at any later time or never; whoever acts may stop for ever. The rows
 * of leases stand from the beginning (how they come and go is in lease.pml), eras are opened by
 * anybody at any time after a drain (whether they ever are is in opening.pml).
 *
 *   WRITES  commits, by daemon 0, then by daemon 1       READS   of one client, at any daemon
 *   FILLER  another reader, whose fill may be late       FORCE   tokens that overwrite values too
 *   ERAS    the last era's id                            STEADY  the first era stays open
 *   COLD    starts drained; one era opens, and stays open
 *   SPLIT   a failover has been: daemon 0 is on the new master, daemon 1 on the old one
 *   AGAIN   publishes are tried again where trust is back
 *   AT_1    the client is at daemon 1 only               FAULTS  how many; KINDS which, as bits:
 *     1 a key is evicted       2 FLUSHALL      4 restart, empty      8 restart with an old RDB
 *     16 failover to a lagging replica with the old master alive    32 rewound in place
 */
#ifndef WRITES
#define WRITES 1
#endif
#ifndef READS
#define READS 2
#endif
#ifndef ERAS
#define ERAS 2
#endif
#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef KINDS
#define KINDS 0
#endif
#define L 1
#define W L

#define max(a, b) ((a) > (b) -> (a) : (b))
#define OPEN 0
#define CLOSING 1
#define DRAINED 2
#define ABSENT 15
#define TOKEN 14
#define FREE 0
#define SENT 1
#define CONFIRMED 2
#define REFUSED 3
#define LATE 4 /* sent, and nobody waits for it any more */

/* The store. */
byte version = 1, era = 1, state = OPEN, seen[2];
byte home[ERAS + 1];     /* the Redis of an era, and its replid */
byte home_replid[ERAS + 1];

/* Redis. Node 1 is the process that follows node 0. */
bool alive[2];
byte stamp[2], replid[2], value_era[2], value[2] = ABSENT, token[2];

/* The trust of a daemon. */
byte granted[2] = 1, lease[2] = L, dropped[2];
byte t0[2], reply[2]; /* a renewal's reply under way: the era, and whether it is open */
byte wait, waiter;    /* T4: 1 + ticks of W that are left; 0: nobody waits */
byte node[2], node_replid[2]; /* what its connection was verified to be */

/* Messages to Redis: publishes 0, 1 of the daemons' writers, 2, 3 of readers; fills of readers. */
byte p_stage[4], p_node[4], p_era[4], p_version[4];
byte f_stage[2], f_node[2], f_era[2], f_version[2], f_token[2];

byte acked = 1;
bool first_done; /* the first key is committed: it may be repeated at the other daemon */

#define TRUSTS(d) (granted[d] > 0 && lease[d] > 0)
#ifdef M_NORUNID
#define AT_HOME(d) true
#else
#define AT_HOME(d) (node[d] == home[granted[d]] && node_replid[d] == home_replid[granted[d]])
#endif
#define BELIEVES(d) (TRUSTS(d) && AT_HOME(d))
#define TICK(x) if :: x > 0 -> x-- :: else fi
#define WAS_OPEN 8

/* --- leases and eras ------------------------------------------------------------------------- */

#ifdef M_OPENEARLY
#define MAY_OPEN (state != OPEN)
#else
#define MAY_OPEN (state == DRAINED)
#endif
#ifdef M_SHORTWAIT
#define WAIT_OVER (wait > 0)
#else
#define WAIT_OVER (wait == 1)
#endif

inline drop(d, e) {
    granted[d] = 0; lease[d] = 0; dropped[d] = max(dropped[d], e)
}

proctype Clock() {
    do
    :: atomic { lease[0] + lease[1] + t0[0] + t0[1] > 0 || wait > 1 ->
        TICK(lease[0]); TICK(lease[1]); TICK(t0[0]); TICK(t0[1]);
        if :: wait > 1 -> wait-- :: else fi;
        if :: lease[0] == 0 -> granted[0] = 0 :: else fi;
        if :: lease[1] == 0 -> granted[1] = 0 :: else fi }
    od
}

/* What is below the era makes no difference, but to a reply under way. */
inline forget(d) {
    if :: seen[d] < era -> seen[d] = 0 :: else fi;
    if :: reply[d] == 0 && dropped[d] < era -> dropped[d] = 0 :: else fi
}

#ifdef COLD
#define MAY_CLOSE false
#else
#define MAY_CLOSE true
#endif
#ifdef LATE_REPLIES
#define MAY_BE_LATE(d) true
#else
#define MAY_BE_LATE(d) (d == 1)
#endif

/* Sent and run at once: what is sent earlier ends earlier and has seen less. One daemon at a
 * time waits for a drain. The rest is in lease.pml. */
proctype Control(byte d) {
    do
#ifndef LATE_REPLIES
    :: atomic { d == 0 && state == OPEN && dropped[d] < era -> granted[d] = era; lease[d] = L }
    :: atomic { d == 0 && state != OPEN -> seen[d] = dropped[d]; drop(d, era) }
#endif
    :: atomic { MAY_BE_LATE(d) && reply[d] == 0 ->
        t0[d] = L; reply[d] = era + (state == OPEN -> WAS_OPEN : 0);
        seen[d] = dropped[d] }
    :: atomic { reply[d] > 0 ->
        if
        :: reply[d] > WAS_OPEN && reply[d] - WAS_OPEN > dropped[d] && t0[d] > 0 ->
            granted[d] = reply[d] - WAS_OPEN; lease[d] = t0[d]
        :: reply[d] < WAS_OPEN -> drop(d, reply[d])
        :: else
        fi;
        reply[d] = 0; t0[d] = 0; forget(d) }
    /* A surprise, a ticket, a daemon that fell silent. */
    :: atomic { state == OPEN && MAY_CLOSE -> drop(d, era); state = CLOSING }
    /* The return of the close, or the first sight of it. */
    :: atomic { state == CLOSING && wait == 0 -> drop(d, era); wait = W + 1; waiter = d }
    :: atomic { wait > 0 && waiter == d && (seen[1 - d] >= era || WAIT_OVER) ->
        state = DRAINED; wait = 0; waiter = 0 }
    od
}

/* A connection breaks, and the next one is verified. */
proctype Link(byte d) {
    do
    :: atomic { node[d] == 0 && alive[1] -> node[d] = 1; node_replid[d] = 0 }
    :: atomic { node[d] == 0 && node_replid[d] != replid[0] -> node_replid[d] = replid[0] }
    od
}

/* The stamp first, the row second; anybody's view of Redis will do. */
proctype Opener() {
    byte at, r, next;
    do
    :: atomic { next == 0 && era < ERAS && MAY_OPEN ->
        if :: at = node[0]; r = node_replid[0] :: at = node[1]; r = node_replid[1] fi;
        if
        :: alive[at] -> next = era + 1; stamp[at] = max(stamp[at], next)
        :: else -> at = 0; r = 0
        fi }
    :: atomic { next > 0 ->
        if
        :: MAY_OPEN && era + 1 == next ->
            era = next; state = OPEN; home[era] = at; home_replid[era] = r; wait = 0; waiter = 0;
            forget(0); forget(1)
        :: else
        fi;
        next = 0; at = 0; r = 0 }
    od
}

/* --- Redis ----------------------------------------------------------------------------------- */

inline erase(n) { value[n] = ABSENT; value_era[n] = 0; token[n] = 0 }

/* T8 */
inline publish(n, e, v) {
    if
    :: value[n] < TOKEN && value_era[n] == e -> value[n] = max(value[n], v)
#ifdef M_PUBCREATE
    :: else -> value[n] = v; value_era[n] = e; token[n] = 0
#else
#ifdef M_PUBOVERTOKEN
    :: value[n] == TOKEN && value_era[n] == e -> value[n] = v; token[n] = 0
#endif
#ifdef M_PUBKEEPTOKEN
    :: value[n] == TOKEN && value_era[n] == e
#endif
    :: value[n] != ABSENT && (value[n] == TOKEN || value_era[n] != e) -> erase(n)
    :: else
#endif
    fi
}

inline deliver_publish(i) {
    bool late = p_stage[i] == LATE;
    if
    :: !alive[p_node[i]] -> p_stage[i] = FREE; p_era[i] = 0
    :: alive[p_node[i]] && stamp[p_node[i]] != p_era[i] -> p_stage[i] = REFUSED
    :: else -> publish(p_node[i], p_era[i], p_version[i]); p_stage[i] = CONFIRMED
    fi;
    if :: late -> p_stage[i] = FREE; p_era[i] = 0; late = 0 :: else fi;
    p_node[i] = 0; p_version[i] = 0
}

#ifdef M_FILLNOTOKEN
#define OWN_TOKEN(n, t, e) (value[n] >= TOKEN || value_era[n] < (e))
#else
#define OWN_TOKEN(n, t, e) (value[n] == TOKEN && token[n] == (t))
#endif
/* T9 */
inline deliver_fill(c) {
    bool late = f_stage[c] == LATE;
    if
    :: !alive[f_node[c]] -> f_stage[c] = FREE; f_era[c] = 0
    :: alive[f_node[c]] && stamp[f_node[c]] != f_era[c] -> f_stage[c] = REFUSED
    :: else ->
        if
        :: OWN_TOKEN(f_node[c], f_token[c], f_era[c]) ->
            value[f_node[c]] = f_version[c]; value_era[f_node[c]] = f_era[c]; token[f_node[c]] = 0
        :: else -> publish(f_node[c], f_era[c], f_version[c])
        fi;
        f_stage[c] = CONFIRMED
    fi;
    if :: late -> f_stage[c] = FREE; f_era[c] = 0; late = 0 :: else fi;
    f_node[c] = 0; f_version[c] = 0; f_token[c] = 0
}

#define UNDER_WAY(stage) (stage == SENT || stage == LATE)
active proctype Net() {
    do
    :: atomic { UNDER_WAY(p_stage[0]) -> deliver_publish(0) }
#if WRITES > 1
    :: atomic { UNDER_WAY(p_stage[1]) -> deliver_publish(1) }
#endif
    :: atomic { UNDER_WAY(p_stage[2]) -> deliver_publish(2) }
    :: atomic { UNDER_WAY(f_stage[0]) -> deliver_fill(0) }
#ifdef FILLER
    :: atomic { UNDER_WAY(f_stage[1]) -> deliver_fill(1) }
#endif
    od
}

/* --- ENSURE (T7) ----------------------------------------------------------------------------- */

#ifdef M_CONFIRMONLY
#define STILL_TRUSTS(d, e) true
#else
#define STILL_TRUSTS(d, e) (BELIEVES(d) && granted[d] == (e))
#endif
#ifdef M_NODRAIN
#define FENCED(e) (state != OPEN || era > (e))
#else
#define FENCED(e) ((state == DRAINED && era == (e)) || era > (e))
#endif

inline give_up(stage, e) {
    atomic { if :: stage == SENT -> stage = LATE :: else -> stage = FREE; e = 0 fi }
}

#ifdef AGAIN
#define MAY_TRY(e) true
#else
#define MAY_TRY(e) (e == 0)
#endif
/* (a), again where that failed and trust is back; or (c): e is the era to wait for, 0 as long as
 * the row has not been read. */
inline ensure(i, d, v, e, sure) {
    do
    :: sure -> break
    :: atomic { !sure && MAY_TRY(e) && BELIEVES(d) && p_stage[i] == FREE ->
        p_stage[i] = SENT; p_node[i] = node[d]; p_era[i] = granted[d]; p_version[i] = v };
#ifdef M_UNCONFIRMED
        sure = 1; p_stage[i] = LATE
#else
        if
        :: atomic { p_stage[i] == CONFIRMED ->
            sure = STILL_TRUSTS(d, p_era[i]); p_stage[i] = FREE; p_era[i] = 0 }
        :: atomic { p_stage[i] == REFUSED -> p_stage[i] = FREE; p_era[i] = 0 }
        :: give_up(p_stage[i], p_era[i]) /* the message may still arrive */
        fi;
#ifndef AGAIN
        atomic { if :: e == 0 -> e = era :: else fi }
#endif
#endif
    :: atomic { !sure && e == 0 -> e = era }
    :: atomic { !sure && e > 0 && FENCED(e) -> break }
    od
}

/* --- daemons' work --------------------------------------------------------------------------- */

/* Commits at daemon d; d = 2 repeats the first key at daemon 1. */
proctype Writer(byte d, i) {
    byte v, e;
    bool sure, repeats;
#ifdef M_OLDERA
    e = era; /* noted before the commit */
#endif
#ifdef M_DRAINEDWRITE
    if
    :: atomic { state == DRAINED -> sure = 1 } /* what the posting's own statement saw */
    :: skip
    fi;
#endif
    atomic {
        if
        :: i == 3 && first_done -> v = version; repeats = 1
        :: else -> version++; v = version; first_done = 1
        fi
    };
#ifdef M_DUP
    sure = repeats;
#endif
    if
    :: sure
    :: else -> ensure(i, d, v, e, sure)
    fi;
    atomic { acked = max(acked, v); v = 0; e = 0; sure = 0 }
}

#ifdef M_INPLACE
#define SAME_REDIS(d) alive[node[d]]
#else
#define SAME_REDIS(d) (alive[node[d]] && replid[node[d]] == node_replid[d])
#endif

#ifdef M_NOERA
#define OF_ERA(e) true
#else
#define OF_ERA(e) (got_era == (e))
#endif

#ifdef FORCE
#define PLACE(n, e) (stamp[n] == e)
#else
#define PLACE(n, e) (stamp[n] == e && (value[n] == ABSENT || value_era[n] != e))
#endif

#ifdef AT_1
#define CHOOSE(d) d = 1
#else
#define CHOOSE(d) if :: d = 0 :: d = 1 fi
#endif

proctype Client(byte reads) {
    byte d, floor, got, got_stamp, got_era, e, n, mine, read, read_state;
    bool sure, held;
    do
    :: reads > 0 ->
#ifdef M_EARLYCHECK
        atomic { CHOOSE(d); if :: BELIEVES(d) -> e = granted[d] :: else fi };
        floor = max(acked, mine);
#else
        atomic { CHOOSE(d); floor = max(acked, mine) };
#endif
        /* The batch in Redis: role, replid, stamp and value in one. */
        atomic {
            if
            :: SAME_REDIS(d) ->
                got_stamp = stamp[node[d]]; got_era = value_era[node[d]]; got = value[node[d]]
            :: else -> got_stamp = 0
            fi
        };
        /* T6, with a clock that is read now. */
        atomic {
#ifndef M_EARLYCHECK
            if :: BELIEVES(d) -> e = granted[d] :: else -> e = 0 fi;
#endif
            if
            :: e > 0 && got_stamp == e && got < TOKEN && OF_ERA(e) -> goto answer
            :: e > 0 && got_stamp == e && !(got < TOKEN && OF_ERA(e)) -> n = node[d]
            :: !(e > 0 && got_stamp == e) -> e = 0
            fi;
            got = 0; got_era = 0; got_stamp = 0
        };
#ifdef M_LATETOKEN
        atomic { read = version; read_state = state };
#endif
        if
        :: atomic { e > 0 && alive[n] && PLACE(n, e) ->
            value[n] = TOKEN; value_era[n] = e; token[n] = reads; held = 1 }
        :: atomic { !(e > 0 && alive[n] && PLACE(n, e)) -> e = 0; n = 0 }
        fi;
#ifdef M_SPLITREAD
        read_state = state;
#endif
#ifndef M_LATETOKEN
        atomic { read = version;
#ifndef M_SPLITREAD
            read_state = state
#endif
        };
#endif
        /* T7 b; the fill, confirmed under the token's era; or a publish; or a fence. */
        if
#ifdef M_SHOW
        :: skip
#else
        :: read_state == DRAINED
        :: atomic { read_state != DRAINED && held && f_stage[0] == FREE ->
            f_stage[0] = SENT; f_node[0] = n; f_version[0] = read; f_token[0] = reads;
#ifdef M_FILLNEWERA
            f_era[0] = max(granted[d], e);
#else
            f_era[0] = e;
#endif
            held = 0; n = 0 };
            if
            :: atomic { f_stage[0] == CONFIRMED ->
                sure = STILL_TRUSTS(d, f_era[0]); f_stage[0] = FREE; f_era[0] = 0 }
            :: atomic { f_stage[0] == REFUSED -> f_stage[0] = FREE; f_era[0] = 0 }
            :: give_up(f_stage[0], f_era[0])
            fi;
            atomic { e = 0 };
            ensure(2, d, read, e, sure)
        :: read_state != DRAINED && !(held && f_stage[0] == FREE) ->
            e = 0;
            ensure(2, d, read, e, sure)
#endif
        fi;
        atomic { got = read };
answer: atomic {
            assert(got >= floor);
            mine = max(mine, got);
            d = 0; floor = 0; got = 0; got_era = 0; got_stamp = 0; e = 0; n = 0; read = 0;
            read_state = 0; sure = 0; held = 0; reads--
        }
    :: else -> break
    od
}

#ifdef FILLER
/* Of another reader only its fill matters. */
proctype Filler() {
    byte n, e, d;
    atomic { d = 1; BELIEVES(d) -> e = granted[d]; n = node[d] };
#ifdef M_LATETOKEN
    f_version[1] = version;
#endif
    atomic {
        if
        :: alive[n] && PLACE(n, e) -> value[n] = TOKEN; value_era[n] = e; token[n] = 9
        :: else -> goto out
        fi
    };
    atomic {
#ifndef M_LATETOKEN
        f_version[1] = version;
#endif
        f_node[1] = n; f_era[1] = e; f_token[1] = 9;
#ifndef M_FILLNEWERA
        f_stage[1] = SENT
#endif
    };
#ifdef M_FILLNEWERA
    atomic { TRUSTS(d) -> f_era[1] = granted[d]; f_stage[1] = SENT }
#endif
out:
    atomic { n = 0; e = 0; d = 0 }
}
#endif

/* --- faults ---------------------------------------------------------------------------------- */

#if FAULTS > 0
proctype Faults() {
    byte left = FAULTS, s, se, sv, st;
    bool kept;
    do
#if KINDS & 56
    /* What an RDB or a replica that lags will have kept. */
    :: atomic { !kept && left > 0 ->
        kept = 1; s = stamp[0]; se = value_era[0]; sv = value[0]; st = token[0] }
    :: atomic { kept && left > 0 && alive[0] && !alive[1] ->
        if
#if KINDS & 8
        :: alive[0] = 0; alive[1] = 1; stamp[1] = s; value_era[1] = se; value[1] = sv; token[1] = st;
           stamp[0] = 0; erase(0)
#endif
#if KINDS & 16
        :: alive[1] = 1; stamp[1] = s; value_era[1] = se; value[1] = sv; token[1] = st
#endif
#if KINDS & 32
        :: replid[0]++; stamp[0] = s; value_era[0] = se; value[0] = sv; token[0] = st
#endif
        fi;
        kept = 0; s = 0; se = 0; sv = 0; st = 0; left-- }
#endif
#if KINDS & 1
    :: atomic { left > 0 && value[0] != ABSENT -> left--; erase(0) }
    :: atomic { left > 0 && alive[1] && value[1] != ABSENT -> left--; erase(1) }
#endif
#if KINDS & 2
    :: atomic { left > 0 -> left--; stamp[0] = 0; erase(0) }
#endif
#if KINDS & 4
    :: atomic { left > 0 && alive[0] && !alive[1] ->
        left--; alive[0] = 0; alive[1] = 1; stamp[0] = 0; erase(0) }
#endif
    :: atomic { left == 0 -> kept = 0; s = 0; se = 0; sv = 0; st = 0; break }
    od
}
#endif

init {
    atomic {
        alive[0] = 1;
        stamp[0] = 1;
#ifdef SPLIT
        alive[1] = 1; stamp[1] = 1; node[0] = 1;
        if
        :: value[1] = 1; value_era[1] = 1
        :: skip
        fi;
#endif
#ifdef COLD
        state = DRAINED; dropped[0] = 1; dropped[1] = 1; granted[0] = 0; granted[1] = 0;
        lease[0] = 0; lease[1] = 0;
#endif
        if
        :: value[0] = 1; value_era[0] = 1
        :: skip
        fi;
#if KINDS & 60
        run Link(0);
        run Link(1);
#endif
#ifndef STEADY
        run Control(0);
        run Control(1);
        run Clock();
        run Opener();
#endif
#if FAULTS > 0
        run Faults();
#endif
        run Writer(0, 0);
#if WRITES > 1
        run Writer(1, 1);
#endif
#ifdef REPEAT
        run Writer(1, 3);
#endif
        run Client(READS);
#ifdef FILLER
        run Filler();
#endif
    }
}
