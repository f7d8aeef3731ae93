/*
 * One script of requests to a store and a cache, through the headers that the product uses, with
 * every answer printed. It runs against PostgreSQL and Redis (servers.c) and against the
 * simulator's fakes of both (test/sim/conformance.c): what they print must be the same, or what
 * the simulator shows says nothing about the product.
 *
 *     renew DAEMON SEEN RUN_ID REPLID [mark]
 *     expel DAEMON RENEWALS [before]       post KIND KEY WORD... [; KIND KEY WORD...]...
 *     era | close ID | drain ID            accounts ID...
 *     open DRAINED ID NONCE RUN_ID REPLID
 *     drop DAEMON | announced              raise STAMP | stamp
 *     publish STAMP ID=VERSION:BALANCE...  token STAMP [!]ID...
 *     fill STAMP ID=VERSION:BALANCE...     read ID...
 *
 *     wait MS
 *
 * mark: all is published that was committed before the last renewal but one. expel takes every step, of
 * the row as the last renewal has listed it; before: of the one that stood there before.
 *
 * A stamp is ERA:NONCE; a fill takes the last token. KIND, with - for a KEY where there is none:
 *
 *     open ID FLOOR | credit ID AMOUNT | debit ID AMOUNT | transfer FROM TO AMOUNT
 *     mtransfer FROM TO AMOUNT... | reverse NUMBER AMOUNT | setfloor ID FLOOR | close ID
 *     suspend ID [ifbelow] | resume ID | canspend ID AMOUNT | expire HOLDS
 *     hold ID AMOUNT SECONDS | capture NUMBER AMOUNT | release NUMBER
 *     charge ID AMOUNT THRESHOLD | settle NUMBER succeeded|failed|unknown
 *
 * Transfers, holds and charges are each numbered from 1 as they appear; a reverse or capture of
 * amount 0 is of all that is left, and 0 seconds are the store's own. Lines beginning with # are
 * printed.
 */
#ifndef BALLAST_CONFORMANCE_SCRIPT_H
#define BALLAST_CONFORMANCE_SCRIPT_H

#include "cache/cache.h"
#include "store/store.h"

struct script_servers {
    struct store_link *store;
    struct cache_link *cache;
    void (*turn)(void);      /* lets something happen */
    void (*wait_ms)(int ms); /* by the clock of the store */
};

/* 0, or 1 with a word on stderr: the script is wrong. */
int script_run(const char *path, const struct script_servers *servers);

#endif
