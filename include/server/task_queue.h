/*
 * server/task_queue.h: a bounded queue of calls to be made on another thread. Any thread puts; one
 * thread takes.
 */
#ifndef BALLAST_SERVER_TASK_QUEUE_H
#define BALLAST_SERVER_TASK_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "server/worker.h"

struct task_queue;

struct task {
    worker_task_fn *run;
    char data[WORKER_TASK_BYTES_MAX] __attribute__((aligned(16)));
};

struct task_queue *task_queue_create(size_t limit);
void task_queue_free(struct task_queue *queue);

/* Copies len bytes, at most WORKER_TASK_BYTES_MAX. False: full, or closed. */
bool task_queue_put(struct task_queue *queue, worker_task_fn *run, const void *data,
                    size_t len) MUST_CHECK;

/* Takes up to max tasks in order; returns how many. */
size_t task_queue_take(struct task_queue *queue, struct task *tasks, size_t max);

/* Nothing can be put any more; what waits is dropped. */
void task_queue_close(struct task_queue *queue);

#endif
