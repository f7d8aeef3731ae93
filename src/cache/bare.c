/* Any question to any server that speaks the protocol. See the header. */
#include "cache/bare.h"

#include <stdlib.h>

#include "base/decimal.h"
#include "cache/command.h"
#include "cache/link.h"

/* Elements of a reply: CONFIG GET * has some 400. */
#define ANSWER_TEXTS_MAX 4096

struct ask {
    struct link_command command;
    cache_answer_fn *done;
    void *arg;
    bool is_error;
    size_t count;
    struct buffer bytes;  /* the texts, each with its NUL */
    struct buffer starts; /* a size_t a text: where it begins; NIL: it is nil */
};

#define NIL SIZE_MAX

static bool ask_item(struct link_command *command, const struct link_item *item)
{
    struct ask *self = (struct ask *)command;
    size_t start = item->type == REDIS_REPLY_NIL ? NIL : self->bytes.len;
    char digits[DECIMAL_ROOM];

    if (item->type == REDIS_REPLY_ARRAY) {
        return true;
    }
    if (item->type == REDIS_REPLY_INTEGER) {
        buffer_append(&self->bytes, digits, decimal_write_int64(digits, item->number));
    } else if (item->type != REDIS_REPLY_NIL) {
        buffer_append(&self->bytes, item->bytes, item->len);
    }
    buffer_append_byte(&self->bytes, '\0');
    buffer_append(&self->starts, &start, sizeof(start));
    self->is_error |= item->type == REDIS_REPLY_ERROR;
    self->count++;
    return self->count <= ANSWER_TEXTS_MAX && self->bytes.len <= 2 * CACHE_REPLY_ITEM_MAX;
}

static void ask_end(struct link_command *command, enum cache_status status)
{
    struct ask *self = (struct ask *)command;
    const char **texts = cache_allocate((self->count + 1) * sizeof(*texts));
    size_t start;

    for (size_t i = 0; i < self->count; i++) {
        memcpy(&start, self->starts.data + i * sizeof(start), sizeof(start));
        texts[i] = start != NIL ? self->bytes.data + start : NULL;
    }
    self->done(self->arg, status,
               status == CACHE_OK ? &(struct cache_answer){self->is_error, texts, self->count}
                                  : NULL);
    free(texts);
    buffer_free(&self->bytes);
    buffer_free(&self->starts);
    free(self);
}

static const struct link_command_ops ask_ops = {.item = ask_item, .end = ask_end};

void cache_ask(struct cache_link *link, const char *const *words, size_t count,
               cache_answer_fn *done, void *arg)
{
    struct ask *self = cache_allocate(sizeof(*self));

    assert(link->is_bare);
    self->command.link = link;
    self->done = done;
    self->arg = arg;
    cache_command_words(&link->out, words, count);
    cache_link_send(&self->command, &ask_ops, 1, cache_link_deadline(link->timeout_ms));
}

struct cache_link *cache_link_create_bare(struct event_base *base,
                                          const struct cache_options *options,
                                          const struct cache_hooks *hooks, void *ctx)
{
    struct cache_link *link = cache_link_create(base, options, hooks, ctx);

    if (link != NULL) {
        link->is_bare = true; /* nothing is connected to before the loop turns */
    }
    return link;
}
