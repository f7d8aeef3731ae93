/* A ring under a mutex: the lock is held for one small copy, and tasks are rare. */
#include "server/task_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct task_queue {
    pthread_mutex_t lock;
    bool closed;
    size_t first, count, limit;
    struct task tasks[];
};

struct task_queue *task_queue_create(size_t limit)
{
    struct task_queue *queue = calloc(1, sizeof *queue + limit * sizeof queue->tasks[0]);

    if (queue == NULL || pthread_mutex_init(&queue->lock, NULL) != 0) {
        abort();
    }
    queue->limit = limit;
    return queue;
}

void task_queue_free(struct task_queue *queue)
{
    if (queue != NULL) {
        pthread_mutex_destroy(&queue->lock);
        free(queue);
    }
}

bool task_queue_put(struct task_queue *queue, worker_task_fn *run, const void *data, size_t len)
{
    assert(len <= WORKER_TASK_BYTES_MAX);
    pthread_mutex_lock(&queue->lock);
    bool room = !queue->closed && queue->count < queue->limit;
    if (room) {
        struct task *task = &queue->tasks[(queue->first + queue->count++) % queue->limit];
        task->run = run;
        memcpy(task->data, data, len);
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

size_t task_queue_take(struct task_queue *queue, struct task *tasks, size_t max)
{
    size_t taken = 0;

    pthread_mutex_lock(&queue->lock);
    while (taken < max && queue->count > 0) {
        tasks[taken++] = queue->tasks[queue->first];
        queue->first = (queue->first + 1) % queue->limit;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    return taken;
}

void task_queue_close(struct task_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    queue->count = 0;
    pthread_mutex_unlock(&queue->lock);
}
