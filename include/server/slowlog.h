/*
 * server/slowlog.h: the last requests that took long, for SLOWLOG. One a process; any thread.
 */
#ifndef BALLAST_SERVER_SLOWLOG_H
#define BALLAST_SERVER_SLOWLOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "server/session_limits.h"

struct slowlog_entry {
    uint64_t id;
    int64_t wall_s; /* when it was answered */
    int64_t took_us;
    int arg_count;
    char args[LIMIT_SLOWLOG_ARGS][LIMIT_SLOWLOG_ARG_ROOM];
    char address[ADDRESS_TEXT_ROOM];
    char name[LIMIT_CLIENT_NAME_ROOM];
};

/* Appends a word to the entry, cut where it does not fit. Where there are too many, the last one
 * that fits becomes "... more". */
void slowlog_word(struct slowlog_entry *entry, const char *bytes, size_t len);

/* Notes it; id and wall_s are set here. */
void slowlog_add(struct slowlog_entry *entry);

size_t slowlog_count(void);
void slowlog_reset(void);

/* Copies the newest `room` entries or fewer, newest first; returns how many. */
size_t slowlog_copy(struct slowlog_entry *out, size_t room);

#endif
