/*
 * server/board.h: what the threads of the daemon show each other: copies of the state of the trust
 * machine and of the engines, put up by their owners once a second and at changes.
 */
#ifndef BALLAST_SERVER_BOARD_H
#define BALLAST_SERVER_BOARD_H

#include "core/engine.h"
#include "core/trust.h"
#include "server/health.h"

struct board;

struct board *board_create(int workers);
void board_free(struct board *board);

/* The control thread. */
void board_put_trust(struct board *board, const struct trust_status *status);
/* The worker's thread. Copies the texts too. */
void board_put_engine(struct board *board, int worker, const struct engine_status *status);
/* The control thread. */
void board_put_health(struct board *board, const struct health *health);

/* Any thread. */
void board_read_trust(struct board *board, struct trust_status *status);
/* The texts of *status are valid until this thread's next call. */
void board_read_engine(struct board *board, int worker, struct engine_status *status);
/* All workers together: up where all are, the first reason that there is stands for all. The texts
 * of *sum are valid until this thread's next call. */
void board_sum_engines(struct board *board, struct engine_status *sum);
void board_read_health(struct board *board, struct health *health);

#endif
