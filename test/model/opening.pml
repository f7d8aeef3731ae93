/*
 * Whether an era is ever open again (rule T5), for two daemons and two Redis processes.
 *
 * Claim `settles`: every run with finitely many faults ends, for ever, in one open era that every
 * live daemon can use, or, where live daemons are led to different Redis processes for ever
 * (-DSPLIT), drained: eras are not opened and closed in turn. Claim `tickets`: what waits for a
 * drain (T7 c) is settled. Both under weak fairness: whoever can act all the time does at last,
 * which is why duties that may keep each other waiting are processes of their own here.
 *
 * Ids are counted from the row's: a stamp is 0 below it, 1 the row's own, 2 one above...; opening
 * an era counts anew. So eras may be opened for ever and the states are still few.
 *
 * Each Redis has a generation, its replid or run_id: a link is to the one that it has verified.
 * One assumption about time: a daemon that lives writes the row within the wait (100 ms) that
 * another one gives to a stamp that it has found above the row.
 *
 *   FAULTS  how many; KINDS which, as bits: 1 a link breaks  2 the stamp is lost
 *     4 made a replica and promoted again, connections stay  8 restarted empty
 *     16 a daemon dies  32 it comes back  64 led to the other Redis, or back  128 an era is closed
 */
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef KINDS
#define KINDS 255
#endif

#define OPEN 0
#define CLOSING 1
#define DRAINED 2
#define IDLE 0
#define READING 1
#define READY 2
#define ASKED 1    /* a ticket: the row has not been read since */
#define WAITING 2  /* the row was read, and its era is waited for */
#define REPLACED 3 /* that era is no more */

/* The store: the row of the era, and the leases. */
byte state = DRAINED, home;  /* the Redis of the era */
bool row[2] = 1;
byte reported[2];            /* the Redis that a daemon has verified */

/* Redis. A link: 0 down, else 1 + node + 2 * generation. */
byte stamp[2], generation[2];
byte leads_to[2];
#define NODE(link) (((link) - 1) % 2)
#define TO(node) (1 + (node) + 2 * generation[node])
#define IS_STALE(link) ((link) != 0 && (link) != TO(NODE(link)))

/* A daemon: links, trust in the row's era, opening. */
byte control[2], worker[2];
bool granted[2], dropped[2], dead[2];
byte stage[2], next[2], another[2], on[2];
byte ticket[2];

#define VERIFIED(d) (control[d] == worker[d] -> control[d] : 0)
#define USES(d) (granted[d] && worker[d] == home && !IS_STALE(worker[d]) && stamp[NODE(home)] == 1)
#define SILENT(d) (row[d] && dead[d])

#ifdef M_NOAGREE
#define AGREES(d) (VERIFIED(d) != 0)
#else
#define AGREES(d) (VERIFIED(d) != 0 && VERIFIED(d) == reported[d] && \
                   (!row[1 - d] || dead[1 - d] || reported[1 - d] == reported[d]))
#endif
#define IS_ELSEWHERE(d) (AGREES(d) && VERIFIED(d) != home)
#ifdef M_OPENFIRST
#define EXPELS_FIRST(d) false
#else
#define EXPELS_FIRST(d) (SILENT(1 - d) && MAY_EXPEL)
#endif
#ifdef M_NOEXPEL
#define MAY_EXPEL false
#else
#define MAY_EXPEL true
#endif
#ifdef M_NOPOLL
#define NOTICES(d) (granted[d] && worker[d] == home)
#define CONTROL_NOTICES false
#else
#define NOTICES(d) true
#define CONTROL_NOTICES true
#endif
#ifdef M_NOWAIT
#define GIVES_TIME(d) false
#define TIME_IS_OVER(d) true
#else
#define GIVES_TIME(d) (stamp[NODE(on[d])] > 1 && stamp[NODE(on[d])] != another[d])
#define TIME_IS_OVER(d) (stage[1 - d] != READY || dead[1 - d] || on[1 - d] != on[d])
#endif
#ifdef M_TICKETCLOSE
#define IS_JOINING(d) false
#else
#define IS_JOINING(d) (state == OPEN && !dropped[d] && !granted[d])
#endif

inline close_era(d) {
    state = CLOSING; granted[d] = 0; dropped[d] = 1
}

/* The ids that are counted from the row's, when that grows by n. */
#define COUNT_ANEW(x, n) x = ((x) > (n) -> (x) - (n) : 0)
#define FORGET(d) \
    granted[d] = 0; dropped[d] = 0; stage[d] = IDLE; next[d] = 0; on[d] = 0; another[d] = 0; \
    ticket[d] = (ticket[d] == WAITING -> REPLACED : ticket[d])

/* A link is made, proves stale, is made again (T13), and the lease tells of it. */
proctype Links(byte d) {
    do
    :: atomic { !dead[d] && control[d] == 0 -> control[d] = TO(leads_to[d]) }
    :: atomic { !dead[d] && IS_STALE(control[d]) && CONTROL_NOTICES -> control[d] = 0 }
    :: atomic { !dead[d] && worker[d] == 0 -> worker[d] = TO(leads_to[d]) }
    :: atomic { !dead[d] && IS_STALE(worker[d]) && NOTICES(d) ->
        if
        :: granted[d] && worker[d] == home && state == OPEN -> close_era(d)
        :: else
        fi;
        worker[d] = 0 }
    :: atomic { !dead[d] && (!row[d] || reported[d] != VERIFIED(d)) ->
        row[d] = 1; reported[d] = VERIFIED(d) }
    od
}

/* T1, T2 */
proctype Trust(byte d) {
    do
    :: atomic { !dead[d] && state == OPEN && !dropped[d] && !granted[d] -> granted[d] = 1 }
    :: atomic { !dead[d] && state != OPEN && !dropped[d] -> granted[d] = 0; dropped[d] = 1 }
    od
}

/* T3. A stamp that is another is found by readers, and by the control link's look. For a daemon that died
 * an era is closed where its take-over (T12) does not come forward, which may happen or not. */
#define MUST_CLOSE(d) (dropped[d] || IS_ELSEWHERE(d) || SILENT(1 - d) || \
                       (ticket[d] == WAITING) || \
                       (granted[d] && worker[d] == home && stamp[NODE(home)] != 1))
proctype Row(byte d) {
    do
    :: atomic { !dead[d] && state == OPEN && MUST_CLOSE(d) -> close_era(d) }
    /* T4, and the last step of a take-over. */
    :: atomic { !dead[d] && state == CLOSING && (dropped[0] || dead[0]) && (dropped[1] || dead[1]) ->
        state = DRAINED }
    :: atomic { !dead[d] && state != CLOSING && SILENT(1 - d) && MAY_EXPEL -> row[1 - d] = 0 }
    od
}

proctype Opener(byte d) {
    do
    :: atomic { !dead[d] && stage[d] == IDLE && state == DRAINED && AGREES(d) ->
        on[d] = VERIFIED(d);
        if
        :: GIVES_TIME(d) -> another[d] = stamp[NODE(on[d])]; on[d] = 0
        :: else -> stage[d] = READING
        fi }
    :: atomic { !dead[d] && stage[d] == READING && TIME_IS_OVER(d) && control[d] == on[d] &&
                !IS_STALE(control[d]) ->
        if
        :: next[d] == 0 ->
            next[d] = (stamp[NODE(on[d])] > 1 -> stamp[NODE(on[d])] : 1) + 1;
            assert(next[d] < 8)
        :: next[d] > 0 && stamp[NODE(on[d])] >= next[d] -> stage[d] = IDLE; next[d] = 0; on[d] = 0
        :: next[d] > 0 && stamp[NODE(on[d])] < next[d] -> stamp[NODE(on[d])] = next[d]; stage[d] = READY
        fi }
    :: atomic { !dead[d] && stage[d] == READING && (control[d] != on[d] || IS_STALE(control[d])) ->
        stage[d] = IDLE; next[d] = 0; on[d] = 0 }
    :: atomic { !dead[d] && stage[d] == READY && state == DRAINED && !EXPELS_FIRST(d) ->
        state = OPEN; home = on[d];
        COUNT_ANEW(stamp[0], next[d] - 1); COUNT_ANEW(stamp[1], next[d] - 1);
        FORGET(0); FORGET(1) }
    od
}

/* Mutations whose publish is not confirmed, without end: T7 c. One that meets the joining of an
 * era is published under it (T7 a) once that is adopted. */
proctype Tickets(byte d) {
    do
    :: atomic { !dead[d] && ticket[d] == 0 && !USES(d) -> ticket[d] = ASKED }
    :: atomic { !dead[d] && ticket[d] == ASKED && !IS_JOINING(d) ->
        if
        :: state == DRAINED -> ticket[d] = 0
        :: state == OPEN && USES(d)
#ifndef M_TICKETCLOSE
            -> ticket[d] = 0
#else
            -> ticket[d] = WAITING
#endif
        :: else -> ticket[d] = WAITING
        fi }
    :: atomic { !dead[d] && ticket[d] == WAITING && state == DRAINED -> ticket[d] = 0 }
    :: atomic { !dead[d] && ticket[d] == REPLACED -> ticket[d] = 0 }
    od
}

proctype Faults() {
    byte left = FAULTS, d;
    do
    :: atomic { left > 0 ->
        left--;
        if :: d = 0 :: d = 1 fi;
        if
#if KINDS & 1
        :: control[d] = 0
        :: worker[d] = 0
#endif
#if KINDS & 2
        :: stamp[d] = 0
#endif
#if KINDS & 4
        :: generation[d]++
#endif
#if KINDS & 8
        :: generation[d]++; stamp[d] = 0;
           if :: control[0] != 0 && NODE(control[0]) == d -> control[0] = 0 :: else fi;
           if :: control[1] != 0 && NODE(control[1]) == d -> control[1] = 0 :: else fi;
           if :: worker[0] != 0 && NODE(worker[0]) == d -> worker[0] = 0 :: else fi;
           if :: worker[1] != 0 && NODE(worker[1]) == d -> worker[1] = 0 :: else fi
#endif
#if KINDS & 16
        :: d == 1 && !dead[1] ->
           dead[1] = 1; granted[1] = 0; control[1] = 0; worker[1] = 0; ticket[1] = 0
#endif
#if KINDS & 32
        :: d == 1 && dead[1] -> dead[1] = 0; dropped[1] = 1; stage[1] = (stage[1] == READY -> READY : IDLE)
#endif
#if KINDS & 64
        :: leads_to[d] = 1 - leads_to[d]; control[d] = 0; worker[d] = 0
#endif
#if KINDS & 128
        :: state == OPEN -> state = CLOSING
#endif
        :: skip
        fi;
        d = 0 }
    :: atomic { left == 0 -> break }
    od
}

#define ALONE (dead[1] || leads_to[0] == leads_to[1])
#define GOOD (state == OPEN && USES(0) && (dead[1] || USES(1)) && !SILENT(1))
ltl settles { <> [] ((ALONE && GOOD) || (!ALONE && state == DRAINED)) }
ltl tickets { [] (ticket[0] != 0 -> <> (ticket[0] == 0)) }

init {
    atomic {
#ifdef SPLIT
        leads_to[1] = 1;
#endif
        run Faults();
        byte d = 0;
        do
        :: d < 2 ->
            run Links(d); run Trust(d); run Row(d); run Opener(d); run Tickets(d);
            d++
        :: else -> d = 0; break
        od
    }
}
