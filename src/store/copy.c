/* Rows by COPY, one after the other, for what reads a whole table: reconcile. */
#include "store/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void copied(struct store_link *link, const struct store_request *request,
                   const struct store_reply *reply)
{
    (void)link;
    request->done.done(request->arg, reply->status, reply->error);
}

/* The text with the numbers in it; the link's scratch, which nothing else needs until the end. */
static const char *put_numbers(struct store_link *link, const char *sql, const int32_t *numbers,
                               int count)
{
    size_t room = 1;
    char *out, *at;

    for (const char *from = sql; *from != '\0'; from++) {
        room += *from == '$' ? sizeof("-2147483648") : 1;
    }
    at = out = link_scratch(link, room);
    for (const char *from = sql; *from != '\0'; from++) {
        if (from[0] == '$' && from[1] >= '1' && from[1] < '1' + count) {
            at += snprintf(at, room - (size_t)(at - out), "%" PRId32, numbers[*++from - '1']);
        } else {
            *at++ = *from;
        }
    }
    *at = '\0';
    return out;
}

void store_copy(struct store_link *link, const char *sql, const int32_t *numbers, int count,
                int timeout_ms, store_line_fn *line, store_done_fn *done, void *arg)
{
    assert(count >= 0 && count <= 9 && timeout_ms >= 0);
    request_submit(link, &(struct store_request){.kind = REQUEST_COPY,
                                                 .sql = put_numbers(link, sql, numbers, count),
                                                 .timeout_ms = timeout_ms,
                                                 .finish = copied,
                                                 .done.done = done,
                                                 .arg = arg,
                                                 .line = line});
}
