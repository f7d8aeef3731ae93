/*
 * The way of a row: free -> waiting, behind another of its account, or ready -> sent -> answered,
 * and free again; a reply that says "not now" and a lost connection lead back from sent to ready.
 */
#include "programs/import.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/list.h"
#include "base/random.h"
#include "ops/import_row.h"
#include "programs/client.h"
#include "programs/import_send.h"

#define IMPORT_ROWS_AHEAD 16384 /* read and not yet done: enough for a window of other accounts */
#define IMPORT_BACKOFF_MIN_US (50 * 1000)
#define IMPORT_BACKOFF_MAX_US (1000 * 1000)
#define IMPORT_WAIT_US (20 * 1000) /* for replies, while there may be rows to read */
#define IMPORT_INPUT_BYTES 65536

struct import_account {
    struct account_id id;
    bool opened;         /* or need not be */
    bool exists;         /* with another floor or asset: it is looked which */
    bool busy;           /* a row of it is ready or sent */
    struct list waiting; /* rows behind that one, in order */
    UT_hash_handle hh;
};

struct import_item {
    struct list link;
    struct import_account *account;
    bool opening; /* sent as OPEN, or BALANCE: the row itself comes after it */
    struct import_row row;
};

struct import {
    const struct import_options *options;
    struct import_input *input;
    struct import_result *result;
    struct csv_reader csv;
    bool has_header, read_all;
    struct import_columns columns;
    struct import_account *accounts; /* uthash, by id */
    struct import_item *items;
    struct list free, ready, sent; /* sent: in the order of the replies */
    int64_t sent_count;
    uint64_t stop_line; /* rows behind it are not sent */
    struct client client;
    int64_t moved_us;   /* when a row was last done */
    int64_t replied_us; /* when the daemon last said anything, or was asked anew */
    int64_t pause_until_us, backoff_us;
    bool told_waiting;
    char trouble[IMPORT_TEXT_ROOM]; /* why nothing moves */
};

/* --- the end ----------------------------------------------------------------------------------*/

/* The first row that cannot be taken decides. line 0: not a row's fault. */
static void stop_at(struct import *in, enum import_end end, uint64_t line, const char *text)
{
    if (line != 0 && line > in->stop_line) {
        return;
    }
    in->stop_line = line;
    in->read_all = true;
    in->result->end = end;
    in->result->line = line;
    snprintf(in->result->text, sizeof in->result->text, "%s", text);
}

/* --- rows in ----------------------------------------------------------------------------------*/

static struct import_account *find_account(struct import *in, const struct account_id *id)
{
    struct import_account *account;

    HASH_FIND(hh, in->accounts, id->bytes, id->len, account);
    if (account == NULL) {
        account = calloc(1, sizeof *account);
        if (account == NULL) {
            abort();
        }
        account->id = *id;
        account->opened = in->options->asset == NULL;
        list_init(&account->waiting);
        HASH_ADD_KEYPTR(hh, in->accounts, account->id.bytes, account->id.len, account);
    }
    return account;
}

static void take_record(struct import *in, const struct csv_record *record)
{
    char err[IMPORT_ERROR_ROOM];

    if (!in->has_header) {
        in->has_header = true;
        if (!import_columns_parse(&in->columns, record, err)) {
            stop_at(in, IMPORT_BAD_ROW, record->line, err);
        }
        return;
    }
    struct import_item *item = LIST_POP_FRONT(&in->free, struct import_item, link);
    if (!import_row_parse(&item->row, &in->columns, record, err)) {
        list_push_back(&in->free, &item->link);
        stop_at(in, IMPORT_BAD_ROW, record->line, err);
        return;
    }
    item->opening = false;
    item->account = find_account(in, &item->row.mutation.account);
    if (item->account->busy) {
        list_push_back(&item->account->waiting, &item->link);
    } else {
        item->account->busy = true;
        list_push_back(&in->ready, &item->link);
    }
}

static void feed(struct import *in, int timeout_ms)
{
    static char bytes[IMPORT_INPUT_BYTES];
    size_t len;

    switch (import_input_read(in->input, bytes, sizeof bytes, timeout_ms, &len)) {
    case INPUT_BYTES:
        csv_feed(&in->csv, bytes, len);
        break;
    case INPUT_END:
        csv_feed_end(&in->csv);
        break;
    case INPUT_FAILED:
        in->read_all = true;
        if (in->result->end == IMPORT_DONE) {
            in->result->end = IMPORT_BAD_INPUT; /* what was read is good, and is done */
            snprintf(in->result->text, sizeof in->result->text, "%s", in->input->error);
        }
        break;
    case INPUT_NONE_YET:
        break;
    }
}

/* Reads while there is room and input at hand; waits for input only where nothing else is to do. */
static void read_rows(struct import *in)
{
    struct csv_record record;

    while (!in->read_all && !list_is_empty(&in->free)) {
        switch (csv_next(&in->csv, &record)) {
        case CSV_RECORD:
            take_record(in, &record);
            break;
        case CSV_ERROR:
            stop_at(in, IMPORT_BAD_ROW, record.line, in->csv.error);
            break;
        case CSV_END:
            in->read_all = true;
            if (!in->has_header) {
                stop_at(in, IMPORT_BAD_ROW, 1, "there is no header");
            }
            break;
        case CSV_NEED_MORE: {
            uint64_t before = in->csv.in.len;
            bool idle = list_is_empty(&in->ready) && list_is_empty(&in->sent);
            feed(in, idle ? IMPORT_WAIT_US / 1000 : 0);
            if (in->csv.in.len == before && !in->csv.ended) {
                return;
            }
            break;
        }
        }
    }
}

/* --- rows out ---------------------------------------------------------------------------------*/

static void send_rows(struct import *in)
{
    while (in->sent_count < in->options->window) {
        struct import_item *item = LIST_POP_FRONT(&in->ready, struct import_item, link);
        if (item == NULL) {
            return;
        }
        if (item->row.line >= in->stop_line) {
            list_push_back(&in->free, &item->link); /* its account stays busy: none follows */
            continue;
        }
        if (list_is_empty(&in->sent)) {
            in->replied_us = clock_boot_us();
        }
        item->opening = !item->account->opened;
        if (item->opening && item->account->exists) {
            import_send_look(&in->client, &item->account->id);
        } else if (item->opening) {
            import_send_open(&in->client, &item->account->id, in->options->asset,
                             in->options->floor);
        } else {
            import_send_row(&in->client, &item->row.mutation);
        }
        list_push_back(&in->sent, &item->link);
        in->sent_count++;
    }
}

/* --- replies ----------------------------------------------------------------------------------*/

static const redisReply *field(const redisReply *map, const char *name)
{
    for (size_t i = 0; map->type == REDIS_REPLY_ARRAY && i + 1 < map->elements; i += 2) {
        if (map->element[i]->str != NULL && strcmp(map->element[i]->str, name) == 0) {
            return map->element[i + 1];
        }
    }
    return NULL;
}

static bool flag(const redisReply *map, const char *name)
{
    const redisReply *value = field(map, name);

    return value != NULL && value->type == REDIS_REPLY_INTEGER && value->integer == 1;
}

/* The row is done: the next one of its account is ready. */
static void item_done(struct import *in, struct import_item *item)
{
    struct import_item *next = LIST_POP_FRONT(&item->account->waiting, struct import_item, link);

    item->account->busy = next != NULL;
    if (next != NULL) {
        list_push_back(&in->ready, &next->link);
    }
    list_push_back(&in->free, &item->link);
}

static void take_row_reply(struct import *in, struct import_item *item, const redisReply *reply)
{
    const redisReply *balance = field(reply, "balance");
    char text[IMPORT_TEXT_ROOM], wanted[DECIMAL_ROOM];

    if (balance == NULL || balance->type != REDIS_REPLY_STRING) {
        stop_at(in, IMPORT_BAD_ROW, item->row.line, "the daemon's reply has no balance");
        return;
    }
    in->result->done++;
    in->result->duplicates += flag(reply, "duplicate");
    if (item->row.has_balance) {
        in->result->checked++;
        decimal_write_int64(wanted, item->row.balance);
        if (strcmp(wanted, balance->str) != 0) {
            snprintf(text, sizeof text,
                     "the balance of %.*s is %s, where the file says %s (%s, key %.*s)",
                     (int)item->account->id.len, item->account->id.bytes, balance->str, wanted,
                     flag(reply, "duplicate") ? "done before" : "done now",
                     (int)item->row.mutation.key_len, item->row.mutation.key);
            stop_at(in, IMPORT_DIFFERENCE, item->row.line, text);
        }
    }
    item_done(in, item);
}

/* The daemon is well but cannot do it now: everything waits for a while. */
static void item_again(struct import *in, struct import_item *item, const char *why)
{
    snprintf(in->trouble, sizeof in->trouble, "%s", why);
    list_push_front(&in->ready, &item->link);
    in->result->retried++;
    if (clock_boot_us() >= in->pause_until_us) {
        in->backoff_us =
            in->backoff_us * 2 > IMPORT_BACKOFF_MAX_US ? IMPORT_BACKOFF_MAX_US : in->backoff_us * 2;
        in->pause_until_us = clock_boot_us() + random_jitter(in->backoff_us);
    }
}

/* An account that is there keeps its floor, and must be of the file's asset. */
static void take_opening_reply(struct import *in, struct import_item *item, const redisReply *reply)
{
    const struct asset *wanted = in->options->asset;
    const redisReply *asset = field(reply, "asset");
    bool known = asset != NULL && asset->type == REDIS_REPLY_STRING;
    char text[IMPORT_TEXT_ROOM];

    if (known && asset->len == wanted->len && memcmp(asset->str, wanted->bytes, asset->len) == 0) {
        item->account->opened = true;
        in->result->opened += flag(reply, "created");
        list_push_front(&in->ready, &item->link);
        return;
    }
    snprintf(text, sizeof text, "%.*s EXISTS with asset %s, not %.*s", (int)item->account->id.len,
             item->account->id.bytes, known ? asset->str : "-", (int)wanted->len, wanted->bytes);
    stop_at(in, IMPORT_BAD_ROW, item->row.line, text);
    list_push_back(&in->free, &item->link); /* its account stays busy: nothing follows it */
}

static void take_error(struct import *in, struct import_item *item, const char *error)
{
    static const char *const later[] = {"BUSY ", "UNAVAILABLE ", "UNKNOWN ", "LOADING "};
    char text[IMPORT_TEXT_ROOM];

    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strncmp(error, later[i], strlen(later[i])) == 0) {
            item_again(in, item, error);
            return;
        }
    }
    if (item->opening && strncmp(error, "EXISTS ", strlen("EXISTS ")) == 0) {
        item->account->exists = true;
        list_push_front(&in->ready, &item->link);
        return;
    }
    snprintf(text, sizeof text, "%s%.*s: %s", item->opening ? "cannot open " : "",
             (int)item->account->id.len, item->account->id.bytes, error);
    stop_at(in, IMPORT_BAD_ROW, item->row.line, text);
    list_push_back(&in->free, &item->link); /* its account stays busy: nothing follows it */
}

static void take_reply(struct import *in, const redisReply *reply)
{
    struct import_item *item = LIST_POP_FRONT(&in->sent, struct import_item, link);

    assert(item != NULL);
    in->sent_count--;
    in->replied_us = clock_boot_us();
    if (reply->type == REDIS_REPLY_ERROR) {
        take_error(in, item, reply->str);
        return;
    }
    in->moved_us = in->replied_us;
    in->backoff_us = IMPORT_BACKOFF_MIN_US;
    in->told_waiting = false;
    if (item->opening) {
        take_opening_reply(in, item, reply);
    } else {
        take_row_reply(in, item, reply);
    }
}

/* --- the connection ---------------------------------------------------------------------------*/

/* Whatever was not answered is sent again, in order, over the next connection. */
static void on_lost(struct import *in, const char *why)
{
    snprintf(in->trouble, sizeof in->trouble, "%s", why);
    client_close(&in->client);
    in->result->retried += (uint64_t)in->sent_count;
    list_splice_back(&in->sent, &in->ready);
    list_splice_back(&in->ready, &in->sent);
    in->sent_count = 0;
}

static void connect_again(struct import *in, int64_t now_us)
{
    if (client_connect(&in->client, now_us + IMPORT_BACKOFF_MAX_US)) {
        return;
    }
    snprintf(in->trouble, sizeof in->trouble, "%s", in->client.error);
    if (in->client.refused) {
        stop_at(in, IMPORT_REFUSED, 0, in->client.error);
        return;
    }
    in->backoff_us =
        in->backoff_us * 2 > IMPORT_BACKOFF_MAX_US ? IMPORT_BACKOFF_MAX_US : in->backoff_us * 2;
    in->pause_until_us = now_us + random_jitter(in->backoff_us);
}

static void wait_until(int64_t until_us)
{
    int64_t left_us = until_us - clock_boot_us();

    poll(NULL, 0, left_us > 0 ? (int)(left_us / 1000) + 1 : 0);
}

/* Takes what has come; waits for the first reply where there is nothing better to do. */
static void take_replies(struct import *in)
{
    int64_t silence_us = in->options->config->limits.request_timeout_ms * 1000 * 2;
    bool may_send = in->sent_count < in->options->window && !list_is_empty(&in->ready);
    int64_t wait_us = may_send && clock_boot_us() >= in->pause_until_us ? 0 : IMPORT_WAIT_US;
    redisReply *reply;

    while (in->sent_count > 0) {
        enum client_result end = client_next(&in->client, clock_boot_us() + wait_us, &reply);
        if (end == CLIENT_LOST) {
            on_lost(in, in->client.error);
            return;
        }
        if (end == CLIENT_TIMEOUT) {
            if (clock_boot_us() - in->replied_us > silence_us) {
                on_lost(in, "the daemon does not answer");
            }
            return;
        }
        take_reply(in, reply);
        freeReplyObject(reply);
        wait_us = 0;
    }
}

/* --- the whole --------------------------------------------------------------------------------*/

static bool is_over(const struct import *in)
{
    return in->read_all && list_is_empty(&in->ready) && list_is_empty(&in->sent);
}

static void check_patience(struct import *in, int64_t now_us)
{
    bool idle = list_is_empty(&in->ready) && list_is_empty(&in->sent);

    if (idle) {
        in->moved_us = now_us; /* it is the input that we wait for */
    }
    if (now_us - in->moved_us > IMPORT_BACKOFF_MAX_US && !in->told_waiting &&
        in->options->waiting != NULL) {
        in->told_waiting = true;
        in->options->waiting(in->options->ctx, in->trouble);
    }
    if (now_us - in->moved_us > in->options->patience_us) {
        struct import_item *first = LIST_FIRST(&in->ready, struct import_item, link);
        char text[IMPORT_TEXT_ROOM];
        snprintf(text, sizeof text, "nothing has moved for %" PRId64 " s: %.400s",
                 in->options->patience_us / 1000000, in->trouble);
        stop_at(in, IMPORT_UNREACHABLE, 0, text);
        in->result->line = first != NULL ? first->row.line : 0;
        on_lost(in, "given up");
    }
}

static void turn(struct import *in)
{
    int64_t now_us = clock_boot_us();

    read_rows(in);
    bool to_do = !list_is_empty(&in->ready) || in->sent_count > 0;
    if (to_do && in->client.context == NULL && now_us >= in->pause_until_us) {
        connect_again(in, now_us);
    }
    if (in->client.context != NULL && now_us >= in->pause_until_us) {
        send_rows(in);
    }
    if (in->sent_count > 0) {
        take_replies(in);
    } else if (to_do && now_us < in->pause_until_us) {
        wait_until(in->pause_until_us);
    }
    check_patience(in, clock_boot_us());
    if (in->stop_line == 0) {
        list_splice_back(&in->free, &in->ready);
    }
    if (in->options->progress != NULL) {
        in->options->progress(in->options->ctx, in->result->done, import_input_share(in->input));
    }
}

void import_run(const struct import_options *options, struct import_input *input,
                struct import_result *result)
{
    struct import in = {
        .options = options,
        .input = input,
        .result = result,
        .stop_line = UINT64_MAX,
        .moved_us = clock_boot_us(),
        .backoff_us = IMPORT_BACKOFF_MIN_US,
    };

    *result = (struct import_result){.end = IMPORT_DONE};
    csv_init(&in.csv);
    client_init(&in.client, options->config);
    list_init(&in.free);
    list_init(&in.ready);
    list_init(&in.sent);
    in.items = calloc(IMPORT_ROWS_AHEAD, sizeof *in.items);
    if (in.items == NULL) {
        abort();
    }
    for (size_t i = 0; i < IMPORT_ROWS_AHEAD; i++) {
        list_init(&in.items[i].link);
        list_push_back(&in.free, &in.items[i].link);
    }
    while (!is_over(&in)) {
        turn(&in);
    }
    client_close(&in.client);
    csv_free(&in.csv);
    struct import_account *account, *next;
    HASH_ITER(hh, in.accounts, account, next) {
        HASH_DEL(in.accounts, account);
        free(account);
    }
    free(in.items);
}
