/* Copies under one mutex: a few hundred bytes, some times a second. */
#include "server/board.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/attributes.h"
#include "base/clock.h"

struct texts {
    char store[STORE_TEXT_MAX];
    char cache[STORE_TEXT_MAX];
    char refusal[STORE_TEXT_MAX];
};

struct board_engine {
    struct engine_status status;
    struct texts why;
};

struct board {
    pthread_mutex_t lock;
    int workers;
    struct trust_status trust;
    struct health health;
    struct board_engine engines[];
};

/* Points the status to the copy of its texts. */
static void texts_adopt(struct texts *texts, struct engine_status *status)
{
    snprintf(texts->store, sizeof texts->store, "%s", status->store_why);
    snprintf(texts->cache, sizeof texts->cache, "%s", status->cache_why);
    snprintf(texts->refusal, sizeof texts->refusal, "%s", status->refusal);
    status->store_why = texts->store;
    status->cache_why = texts->cache;
    status->refusal = texts->refusal;
}

struct board *board_create(int workers)
{
    struct board *board = calloc(1, sizeof *board + (size_t)workers * sizeof board->engines[0]);

    if (board == NULL || pthread_mutex_init(&board->lock, NULL) != 0) {
        abort();
    }
    board->workers = workers;
    board->trust.why = "the daemon is starting";
    health_init(&board->health, clock_boot_us(), clock_wall_ms());
    for (int i = 0; i < workers; i++) {
        struct board_engine *engine = &board->engines[i];
        engine->status.store_why = engine->status.cache_why = "the daemon is starting";
        engine->status.refusal = "";
        texts_adopt(&engine->why, &engine->status);
    }
    return board;
}

void board_free(struct board *board)
{
    if (board != NULL) {
        pthread_mutex_destroy(&board->lock);
        free(board);
    }
}

void board_put_trust(struct board *board, const struct trust_status *status)
{
    pthread_mutex_lock(&board->lock);
    board->trust = *status;
    pthread_mutex_unlock(&board->lock);
}

void board_read_trust(struct board *board, struct trust_status *status)
{
    pthread_mutex_lock(&board->lock);
    *status = board->trust;
    pthread_mutex_unlock(&board->lock);
}

void board_put_engine(struct board *board, int worker, const struct engine_status *status)
{
    assert(worker >= 0 && worker < board->workers);
    struct board_engine *engine = &board->engines[worker];

    pthread_mutex_lock(&board->lock);
    engine->status = *status;
    texts_adopt(&engine->why, &engine->status);
    pthread_mutex_unlock(&board->lock);
}

void board_read_engine(struct board *board, int worker, struct engine_status *status)
{
    static _Thread_local struct texts shown;
    assert(worker >= 0 && worker < board->workers);

    pthread_mutex_lock(&board->lock);
    *status = board->engines[worker].status;
    texts_adopt(&shown, status);
    pthread_mutex_unlock(&board->lock);
}

/* The first that is not "". */
static void keep_text(char *out, const char *text)
{
    if (out[0] == '\0') {
        snprintf(out, STORE_TEXT_MAX, "%s", text);
    }
}

void board_sum_engines(struct board *board, struct engine_status *sum)
{
    static _Thread_local struct texts shown;

    *sum = (struct engine_status){
        .writer_up = true,
        .reader_up = true,
        .cache_up = true,
        .store_why = shown.store,
        .cache_why = shown.cache,
        .refusal = shown.refusal,
    };
    shown.store[0] = shown.cache[0] = shown.refusal[0] = '\0';
    pthread_mutex_lock(&board->lock);
    for (int i = 0; i < board->workers; i++) {
        const struct engine_status *status = &board->engines[i].status;
        sum->writer_up &= status->writer_up;
        sum->reader_up &= status->reader_up;
        sum->cache_up &= status->cache_up;
        sum->writes_queued += status->writes_queued;
        sum->writes_in_flight += status->writes_in_flight;
        sum->writes_in_doubt += status->writes_in_doubt;
        sum->reads_waiting += status->reads_waiting;
        if (status->oldest_doubt_us > sum->oldest_doubt_us) {
            sum->oldest_doubt_us = status->oldest_doubt_us;
        }
        keep_text(shown.store, status->store_why);
        keep_text(shown.cache, status->cache_why);
        keep_text(shown.refusal, status->refusal);
    }
    pthread_mutex_unlock(&board->lock);
}

void board_put_health(struct board *board, const struct health *health)
{
    pthread_mutex_lock(&board->lock);
    board->health = *health;
    pthread_mutex_unlock(&board->lock);
}

void board_read_health(struct board *board, struct health *health)
{
    pthread_mutex_lock(&board->lock);
    *health = board->health;
    pthread_mutex_unlock(&board->lock);
}
