/* What the store's books must give in sum, and the roll-up that keeps that cheap. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "gen/sql.h"
#include "ops/reconcile_parts.h"

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
        end = job_query_long(r->job, sql_reconcile_assets, NULL, 0, RECONCILE_STATEMENT_MS, true,
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
    return job_query_long(r->job, sql_roll_up, NULL, 0, RECONCILE_STATEMENT_MS, true, NULL, NULL);
}
