/*
 * server/tender.h: what the first worker of a daemon does in the store beside requests.
 *
 * It watches (sql/watch.sql) the fuses, the charges that stay open and the holds whose time is up,
 * for the metrics and the log; and it has the store end such holds, in batches of mutations like any
 * other, whose results are published. Nothing depends on it but how soon held money is seen to be
 * free: whoever needs the money has the store end the holds of that account himself.
 */
#ifndef BALLAST_SERVER_TENDER_H
#define BALLAST_SERVER_TENDER_H

#include "base/attributes.h"
#include "server/worker.h"

struct tender;

/* On the worker's thread, after its engine was made. Begins with the first turn of the loop. */
struct tender *tender_create(struct worker *worker) MUST_CHECK;

/* No new requests: those under way are answered. The engine goes on until it is freed. */
void tender_stop(struct tender *tender);

/* After the engine was freed: every request has had its answer. NULL does nothing. */
void tender_free(struct tender *tender);

#endif
