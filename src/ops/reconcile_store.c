/*
 * The store's own books. Each page is one statement, so that row and journal are seen in one
 * snapshot; a page that disagrees is read again all the same, account by account.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "gen/sql.h"
#include "ops/reconcile_parts.h"

#define JOURNAL_PAGE "500" /* accounts; their journals may be long */
/* Of one statement: a hot account has millions of rows, and so has the journal since the last roll-up. */
#define JOURNAL_STATEMENT_MS (10 * 60 * 1000)
#define JOURNAL_TEXT_ROOM 256

/* An account that disagrees, as a page showed it. */
struct disagreement {
    char account[ACCOUNT_ID_MAX + 1];
    char expected[JOURNAL_TEXT_ROOM]; /* what the journal says */
    char found[JOURNAL_TEXT_ROOM];    /* what the row says */
};

struct page {
    char last[ACCOUNT_ID_MAX + 1]; /* "": no more accounts */
    uint64_t accounts, movements;
    struct disagreement *items;
    size_t count;
};

static uint64_t to_uint64(const char *text)
{
    uint64_t value;

    return text != NULL && decimal_parse_uint64(text, strlen(text), &value) == DECIMAL_OK ? value
                                                                                          : 0;
}

static void take_page(void *arg, const struct store_rows *rows)
{
    struct page *page = arg;
    const char *last = rows->rows > 0 ? rows->value(rows, 0, 0) : NULL;

    snprintf(page->last, sizeof page->last, "%s", last != NULL ? last : "");
    page->accounts = rows->rows > 0 ? to_uint64(rows->value(rows, 0, 1)) : 0;
    page->movements = rows->rows > 0 ? to_uint64(rows->value(rows, 0, 2)) : 0;
    page->count = 0;
    page->items = calloc(rows->rows + 1, sizeof *page->items);
    if (page->items == NULL) {
        abort();
    }
    for (size_t i = 0; i < rows->rows; i++) {
        const char *account = rows->value(rows, i, 3);
        if (account == NULL) {
            continue;
        }
        struct disagreement *item = &page->items[page->count++];
        snprintf(item->account, sizeof item->account, "%s", account);
        snprintf(item->found, sizeof item->found, "balance %s, version %s", rows->value(rows, i, 4),
                 rows->value(rows, i, 6));
        snprintf(item->expected, sizeof item->expected,
                 "balance %s, %s versions in %s rows, the last %s", rows->value(rows, i, 5),
                 rows->value(rows, i, 7), rows->value(rows, i, 8), rows->value(rows, i, 9));
    }
}

static enum job_result read_page(struct reconcile *r, const char *after, const char *limit,
                                 struct page *page)
{
    const char *params[2] = {after, limit};

    return job_query_long(r->job, sql_reconcile_rows, params, 2, JOURNAL_STATEMENT_MS, true,
                          take_page, page);
}

/* The greatest text below the id, in bytes, that no account can lie above: keyset pages begin
 * behind it with the account itself. */
static void text_before(const char *id, char out[ACCOUNT_ID_MAX + 2])
{
    size_t len = strlen(id);

    memcpy(out, id, len + 1);
    out[len - 1]--;
    /* An id's last byte is at least '-', so what is below it is a printable byte still; and '~'
     * behind it stands above everything an id may go on with. */
    out[len] = '~';
    out[len + 1] = '\0';
}

/* Reads one account again, and reports it where it still disagrees. */
static enum job_result report_again(struct reconcile *r, const struct disagreement *item)
{
    char after[ACCOUNT_ID_MAX + 2];
    struct page page = {0};

    text_before(item->account, after);
    enum job_result end = read_page(r, after, "1", &page);
    if (end == JOB_OK && page.count == 1 && strcmp(page.items[0].account, item->account) == 0) {
        struct reconcile_finding finding = {
            .check = "journal",
            .account = item->account,
            .expected = page.items[0].expected,
            .found = page.items[0].found,
        };
        end = reconcile_note(r, &finding);
    }
    free(page.items);
    return end;
}

enum job_result reconcile_journal(struct reconcile *r)
{
    char after[ACCOUNT_ID_MAX + 1] = "";
    enum job_result end;
    struct page page;

    do {
        page = (struct page){0};
        end = read_page(r, after, JOURNAL_PAGE, &page);
        for (size_t i = 0; end == JOB_OK && i < page.count; i++) {
            end = report_again(r, &page.items[i]);
        }
        free(page.items);
        r->result->accounts += page.accounts;
        r->result->transfers += page.movements;
        memcpy(after, page.last, sizeof after);
        reconcile_show(r, "journal", r->result->accounts,
                       r->estimate > 0 ? (double)r->result->accounts / (double)r->estimate : -1);
    } while (end == JOB_OK && page.last[0] != '\0');
    return end;
}

/* --- assets -----------------------------------------------------------------------------------*/

#define ASSETS_MAX 64 /* reported; more than that disagree for one reason */

struct assets {
    size_t count;
    struct {
        char asset[ASSET_MAX + 1], accounts[64], system[64];
    } items[ASSETS_MAX];
};

static void take_assets(void *arg, const struct store_rows *rows)
{
    struct assets *assets = arg;

    assets->count = 0;
    for (size_t i = 0; i < rows->rows && assets->count < ASSETS_MAX; i++) {
        const char *accounts = rows->value(rows, i, 1), *system = rows->value(rows, i, 2);
        size_t at = assets->count++;
        snprintf(assets->items[at].asset, sizeof assets->items[at].asset, "%s",
                 rows->value(rows, i, 0));
        snprintf(assets->items[at].accounts, sizeof assets->items[at].accounts, "%s",
                 accounts != NULL ? accounts : "0");
        snprintf(assets->items[at].system, sizeof assets->items[at].system, "%s",
                 system != NULL ? system : "0");
    }
}

enum job_result reconcile_assets(struct reconcile *r)
{
    struct assets assets;
    enum job_result end = JOB_OK;

    for (int look = 0; look < 2; look++) {
        end = job_query_long(r->job, sql_reconcile_assets, NULL, 0, JOURNAL_STATEMENT_MS, true,
                             take_assets, &assets);
        if (end != JOB_OK || assets.count == 0) {
            return end;
        }
    }
    for (size_t i = 0; end == JOB_OK && i < assets.count; i++) {
        char expected[128], found[128];
        struct reconcile_finding finding = {.check = "asset", .expected = expected, .found = found};
        snprintf(expected, sizeof expected, "%s: accounts and system accounts cancel out",
                 assets.items[i].asset);
        snprintf(found, sizeof found, "accounts %s, system accounts %s", assets.items[i].accounts,
                 assets.items[i].system);
        end = reconcile_note(r, &finding);
    }
    return end;
}

enum job_result reconcile_roll_up(struct reconcile *r)
{
    return job_query_long(r->job, sql_roll_up, NULL, 0, JOURNAL_STATEMENT_MS, true, NULL, NULL);
}
