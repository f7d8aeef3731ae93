/* Postings and reads against a real server: what goes in, what comes back. */
#include "fixture.h"

static const struct account_entry *state_of(const struct outcome_seen *seen, const char *account)
{
    const struct account_entry *best = NULL;
    struct account_id id = id_of(account);

    for (size_t i = 0; i < seen->count; i++) {
        const struct account_entry *entry = &seen->entries[i];

        if (account_id_equal(&entry->id, &id) &&
            (best == NULL || entry->state.version > best->state.version)) {
            best = entry;
        }
    }
    return best;
}

/* The balance that is to be published. */
static void expect_state(const char *account, int64_t balance, uint64_t version)
{
    const struct account_entry *entry = state_of(&t.seen, account);

    ck_assert_msg(entry != NULL, "no state of %s", account);
    ck_assert_int_eq(entry->state.balance, balance);
    ck_assert_uint_eq(entry->state.version, version);
}

static void open_account(const char *account)
{
    struct store_posting *p = posting(MUTATION_OPEN, NULL, account, NULL, 0);

    ck_assert_int_eq(post_one(p)->status, STORE_OK);
    ck_assert_int_eq(p->result.outcome, OUTCOME_OK);
    ck_assert(p->result.changed);
    expect_state(account, 0, 1);
}

/* Posts one and expects a refusal. */
static void expect_refused(struct store_posting *p, enum outcome outcome)
{
    ck_assert_int_eq(post_one(p)->status, STORE_OK);
    ck_assert_msg(p->result.outcome == outcome, "%s: %s", outcome_word(p->result.outcome),
                  p->result.detail);
    ck_assert_uint_eq(p->result.transfer, 0);
    ck_assert(!p->result.changed);
}

START_TEST(a_mixed_batch)
{
    struct store_posting *batch[9];
    struct mutation *multi;

    link_up();
    open_account("mix:a");
    batch[0] = posting(MUTATION_OPEN, NULL, "mix:b", NULL, -500);
    batch[1] = posting(MUTATION_CREDIT, "mix-1", "mix:a", "@world", 1000);
    batch[2] = posting(MUTATION_DEBIT, "mix-2", "mix:a", "@fees", 300);
    batch[3] = posting(MUTATION_TRANSFER, "mix-3", "mix:a", "mix:b", 200);
    batch[4] = posting(MUTATION_DEBIT, "mix-4", "mix:a", "@fees", 501);
    batch[5] = posting(MUTATION_MTRANSFER, "mix-5", NULL, NULL, 0);
    multi = &batch[5]->mutation;
    multi->leg_count = 2;
    multi->legs = calloc(2, sizeof(*multi->legs));
    multi->legs[0] = (struct mutation_leg){id_of("mix:a"), id_of("mix:b"), 100};
    multi->legs[1] = (struct mutation_leg){id_of("@world"), id_of("mix:a"), 7};
    batch[6] = posting(MUTATION_SETFLOOR, "mix-6", "mix:b", NULL, -700);
    batch[7] = posting(MUTATION_CREDIT, "mix-1", "mix:a", "@world", 1000);
    batch[8] = posting(MUTATION_CLOSE, "mix-8", "mix:a", NULL, 0);
    ck_assert_int_eq(post(batch, 9)->status, STORE_OK);

    ck_assert_int_eq(batch[0]->result.outcome, OUTCOME_OK);
    ck_assert_int_eq(batch[0]->result.account.state.floor, -500);
    ck_assert_int_eq(batch[1]->result.account.state.balance, 1000);
    ck_assert_uint_gt(batch[1]->result.transfer, 0);
    ck_assert_int_eq(batch[2]->result.account.state.balance, 700);
    ck_assert_int_eq(batch[3]->result.account.state.balance, 500);
    ck_assert_int_eq(batch[3]->result.to.state.balance, 200);
    ck_assert_int_eq(batch[4]->result.outcome, OUTCOME_INSUFFICIENT);
    ck_assert_str_ne(batch[4]->result.detail, "");
    ck_assert_int_eq(batch[5]->result.outcome, OUTCOME_OK);
    ck_assert_uint_gt(batch[5]->result.transfer, 0);
    ck_assert(batch[6]->result.changed);
    ck_assert_int_eq(batch[6]->result.account.state.floor, -700);
    ck_assert(batch[7]->result.duplicate);
    ck_assert_uint_eq(batch[7]->result.transfer, batch[1]->result.transfer);
    ck_assert_int_eq(batch[8]->result.outcome, OUTCOME_NOTEMPTY);
    expect_state("mix:a", 407, 6);
    expect_state("mix:b", 300, 4);
}
END_TEST

START_TEST(duplicates_show_the_original)
{
    struct store_posting *first = posting(MUTATION_CREDIT, "dup-1", "dup", "@world", 100);
    struct store_posting *again = posting(MUTATION_CREDIT, "dup-1", "dup", "@world", 100);

    link_up();
    open_account("dup");
    ck_assert_int_eq(post_one(first)->status, STORE_OK);
    ck_assert_int_eq(post_one(posting(MUTATION_CREDIT, "dup-2", "dup", "@world", 50))->status,
                     STORE_OK);
    ck_assert_int_eq(post_one(again)->status, STORE_OK);
    ck_assert(again->result.duplicate);
    ck_assert_uint_eq(again->result.transfer, first->result.transfer);
    ck_assert_int_eq(again->result.account.state.balance, 100);
    ck_assert_uint_eq(again->result.account.state.version, 2);
    expect_state("dup", 150, 3); /* the present one is what goes to the cache */
}
END_TEST

START_TEST(refusals)
{
    struct store_posting *p;

    link_up();
    open_account("ref:a");
    open_account("ref:b");
    expect_refused(posting(MUTATION_CREDIT, "ref-1", "ref:none", "@world", 1), OUTCOME_NOACCOUNT);
    expect_refused(posting(MUTATION_DEBIT, "ref-2", "ref:a", "@world", 1), OUTCOME_INSUFFICIENT);
    expect_refused(posting(MUTATION_OPEN, NULL, "ref:a", NULL, 5), OUTCOME_EXISTS);
    ck_assert_int_eq(
        post_one(posting(MUTATION_CREDIT, "ref-3", "ref:a", "@world", INT64_MAX))->status,
        STORE_OK);
    expect_refused(posting(MUTATION_CREDIT, "ref-4", "ref:a", "@world", 1), OUTCOME_OVERFLOW);
    expect_refused(posting(MUTATION_CREDIT, "ref-3", "ref:a", "@world", 2), OUTCOME_KEYREUSED);
    p = posting(MUTATION_OPEN, NULL, "ref:eur", NULL, 0);
    ck_assert(asset_parse(&p->mutation.asset, "EUR/2", 5));
    ck_assert_int_eq(post_one(p)->status, STORE_OK);
    expect_refused(posting(MUTATION_TRANSFER, "ref-5", "ref:a", "ref:eur", 1), OUTCOME_ASSET);
    p = posting(MUTATION_REVERSE, "ref-6", NULL, NULL, 0);
    p->mutation.target = UINT64_MAX;
    expect_refused(p, OUTCOME_NOTRANSFER);
    ck_assert_int_eq(post_one(posting(MUTATION_CLOSE, "ref-7", "ref:b", NULL, 0))->status,
                     STORE_OK);
    ck_assert_int_eq(state_of(&t.seen, "ref:b")->state.status, ACCOUNT_CLOSED);
    expect_refused(posting(MUTATION_CREDIT, "ref-8", "ref:b", "@world", 1), OUTCOME_CLOSED);
}
END_TEST

START_TEST(a_reverse_in_part_and_whole)
{
    struct store_posting *credit = posting(MUTATION_CREDIT, "rev-1", "rev", "@world", 100);
    struct store_posting *part = posting(MUTATION_REVERSE, "rev-2", NULL, NULL, 30);
    struct store_posting *whole = posting(MUTATION_REVERSE, "rev-3", NULL, NULL, 0);

    link_up();
    open_account("rev");
    ck_assert_int_eq(post_one(credit)->status, STORE_OK);
    part->mutation.target = whole->mutation.target = credit->result.transfer;
    ck_assert_int_eq(post_one(part)->status, STORE_OK);
    ck_assert_int_eq(part->result.outcome, OUTCOME_OK);
    ck_assert_int_eq(part->result.account.state.balance, 70);
    ck_assert_int_eq(post_one(whole)->status, STORE_OK);
    ck_assert_int_eq(whole->result.outcome, OUTCOME_OK);
    expect_state("rev", 0, 4);
}
END_TEST

START_TEST(a_thousand_in_one_batch)
{
    enum { COUNT = 1000 };
    static struct store_posting *batch[COUNT];
    char key[32];

    link_up();
    open_account("many");
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "many-%d", i);
        batch[i] = posting(MUTATION_CREDIT, key, "many", "@world", 1);
    }
    ck_assert_int_eq(post(batch, COUNT)->status, STORE_OK);
    for (int i = 0; i < COUNT; i++) {
        ck_assert_int_eq(batch[i]->result.outcome, OUTCOME_OK);
        ck_assert_int_eq(batch[i]->result.account.state.balance, i + 1);
    }
    ck_assert_int_eq(read_one("many")->entries[0].state.balance, COUNT);
}
END_TEST

START_TEST(large_batches_under_tls)
{
    enum { COUNT = 5000 };
    static struct store_posting *batch[COUNT];
    char key[32];

    free((char *)t.options.conninfo);
    t.options.conninfo = strdup(cluster_conninfo("sslmode=require"));
    t.options.statement_timeout_ms = 10000;
    link_up();
    ck_assert_str_eq(query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", 0)->text,
                     "t");
    open_account("tls");
    for (int i = 0; i < COUNT; i++) {
        snprintf(key, sizeof(key), "tls-%d", i);
        batch[i] = posting(MUTATION_CREDIT, key, "tls", "@world", 1);
    }
    for (int round = 0; round < 3; round++) {
        ck_assert_int_eq(post(batch, COUNT)->status, STORE_OK);
        ck_assert_int_eq(batch[COUNT - 1]->result.account.state.balance, COUNT);
        ck_assert_int_eq(batch[0]->result.duplicate, round > 0);
    }
}
END_TEST

START_TEST(accounts_missing_and_there)
{
    struct account_id ids[3] = {id_of("rd:a"), id_of("rd:none"), id_of("rd:a")};
    const struct account_id *list[3] = {&ids[0], &ids[1], &ids[2]};

    link_up();
    ck_assert_uint_eq(read_one("rd:a")->count, 0);
    ck_assert_int_eq(t.seen.era_seen.state, ERA_DRAINED);
    open_account("rd:a");
    fresh();
    store_read_accounts(t.link, list, 3, on_accounts, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_uint_eq(t.seen.count, 1);
    expect_state("rd:a", 0, 1);
    fresh();
    store_read_accounts(t.link, list, 0, on_accounts, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_uint_eq(t.seen.count, 0);
}
END_TEST

START_TEST(pages_in_order)
{
    struct account_id after = {0};
    size_t seen = 0;
    char account[32];

    link_up();
    for (int i = 0; i < 5; i++) {
        snprintf(account, sizeof(account), "page:%d", i);
        open_account(account);
    }
    for (;;) {
        fresh();
        store_page_accounts(t.link, &after, 2, on_accounts, &t.seen);
        ck_assert_int_eq(answer()->status, STORE_OK);
        if (t.seen.count == 0) {
            break;
        }
        ck_assert_uint_le(t.seen.count, 2);
        seen += t.seen.count;
        after = t.seen.entries[t.seen.count - 1].id;
    }
    ck_assert_uint_eq(seen, (size_t)cluster_ask("SELECT count(*) FROM ballast.account"));
    ck_assert_uint_ge(seen, 5);
}
END_TEST

static void on_history(void *arg, enum store_status status, const struct store_error *error,
                       const struct store_history *reply)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert_int_eq(status, STORE_OK);
    seen->count = reply->count;
    seen->entries[0] = reply->present;
    for (size_t i = 0; i < reply->count; i++) {
        const struct store_history_row *row = &reply->rows[i];

        ck_assert_str_eq(row->counterparty, "@world");
        ck_assert_ptr_nonnull(strchr(row->at, 'Z'));
        ck_assert_int_eq(row->amount, row->version == 2 ? 100 : -40);
        ck_assert_int_eq(row->balance, row->version == 2 ? 100 : 60);
        ck_assert_str_eq(row->kind, row->version == 2 ? "credit" : "debit");
        ck_assert_int_eq(row->memo != NULL, row->version == 2);
    }
}

START_TEST(history_newest_first)
{
    struct account_id account = id_of("his");
    struct account_id nobody = id_of("his:none");
    struct store_posting *credit = posting(MUTATION_CREDIT, "his-1", "his", "@world", 100);

    link_up();
    open_account("his");
    fresh();
    store_read_history(t.link, &account, 0, 10, on_history, &t.seen);
    ck_assert_uint_eq(answer()->count, 0);
    ck_assert_uint_eq(t.seen.entries[0].state.version, 1);
    ck_assert_ptr_null(mutation_set_memo(&credit->mutation, "caf\xc3\xa9", 5));
    ck_assert_int_eq(post_one(credit)->status, STORE_OK);
    ck_assert_int_eq(post_one(posting(MUTATION_DEBIT, "his-2", "his", "@world", 40))->status,
                     STORE_OK);
    fresh();
    store_read_history(t.link, &account, 0, 10, on_history, &t.seen);
    ck_assert_uint_eq(answer()->count, 2);
    fresh();
    store_read_history(t.link, &account, 3, 10, on_history, &t.seen);
    ck_assert_uint_eq(answer()->count, 1);
    fresh();
    store_read_history(t.link, &nobody, 0, 10, on_history, &t.seen);
    ck_assert_uint_eq(answer()->count, 0);
    ck_assert_uint_eq(t.seen.entries[0].state.version, 0);
}
END_TEST

static void on_balance_at(void *arg, enum store_status status, const struct store_error *error,
                          const struct store_balance_at *reply)
{
    struct outcome_seen *seen = saw(arg, status, error);

    ck_assert((status == STORE_OK) == (reply != NULL));
    if (reply != NULL) {
        seen->entries[0].state.balance = reply->balance;
        seen->entries[0].state.version = reply->version;
        seen->entries[1] = reply->present;
    }
}

static struct outcome_seen *balance_at(const struct account_id *account, const char *time)
{
    fresh();
    store_read_balance_at(t.link, account, time, on_balance_at, &t.seen);
    return answer();
}

START_TEST(balance_at_a_time)
{
    struct account_id account = id_of("bat");

    link_up();
    open_account("bat");
    ck_assert_int_eq(post_one(posting(MUTATION_CREDIT, "bat-1", "bat", "@world", 9))->status,
                     STORE_OK);
    ck_assert_uint_eq(balance_at(&account, "2001-01-01T00:00:00Z")->entries[0].state.version, 0);
    ck_assert_uint_eq(t.seen.entries[1].state.version, 2);
    ck_assert_int_eq(balance_at(&account, "2999-01-01T00:00:00Z")->entries[0].state.balance, 9);
    ck_assert_uint_eq(t.seen.entries[0].state.version, 2);
    ck_assert_int_eq(balance_at(&account, "2001-13-01T00:00:00Z")->status, STORE_REFUSED);
    ck_assert_int_eq(t.downs, 0);
}
END_TEST

static void on_system(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_system_balance *rows, size_t count)
{
    struct outcome_seen *seen = saw(arg, status, error);

    seen->count = count;
    if (count > 0) {
        snprintf(seen->text, sizeof(seen->text), "%s %s", rows[0].asset, rows[0].balance);
    }
}

START_TEST(system_accounts_beyond_64_bits)
{
    struct account_id account = id_of("@mint");
    struct account_id unused = id_of("@unused");

    link_up();
    open_account("sys:a");
    open_account("sys:b");
    ck_assert_int_eq(
        post_one(posting(MUTATION_CREDIT, "sys-1", "sys:a", "@mint", INT64_MAX))->status, STORE_OK);
    ck_assert_int_eq(
        post_one(posting(MUTATION_CREDIT, "sys-2", "sys:b", "@mint", INT64_MAX))->status, STORE_OK);
    fresh();
    store_read_system(t.link, &account, on_system, &t.seen);
    ck_assert_str_eq(answer()->text, "USD/2 -18446744073709551614");
    fresh();
    store_read_system(t.link, &unused, on_system, &t.seen);
    ck_assert_uint_eq(answer()->count, 0);
}
END_TEST

START_TEST(any_statement_with_parameters)
{
    const char *params[] = {"7", NULL};

    link_up();
    fresh();
    store_query(t.link, "SELECT $1::int + 1, $2::text", params, 2, 0, on_rows, &t.seen);
    ck_assert_str_eq(answer()->text, "8");
    ck_assert_str_eq(query("SELECT NULL", 0)->text, "NULL");
    ck_assert_int_eq(query("", 0)->status, STORE_OK);
    ck_assert_int_eq(query("nonsense", 0)->status, STORE_REFUSED);
    ck_assert_str_eq(t.seen.error.sqlstate, "42601");
}
END_TEST

struct lines_seen {
    int count;
    size_t bytes;
    char first[32];
};

static void on_line(void *arg, const char *line, size_t len)
{
    struct lines_seen *lines = arg;

    if (lines->count++ == 0) {
        snprintf(lines->first, sizeof(lines->first), "%.*s", (int)len, line);
    }
    lines->bytes += len;
}

static struct lines_seen copied;

static void on_copied(void *arg, enum store_status status, const struct store_error *error)
{
    (void)arg;
    saw(&t.seen, status, error);
}

static struct outcome_seen *copy(const char *sql, const int32_t *numbers, int count)
{
    memset(&copied, 0, sizeof(copied));
    fresh();
    store_copy(t.link, sql, numbers, count, 0, on_line, on_copied, &copied);
    return answer();
}

START_TEST(rows_by_copy)
{
    link_up();
    ck_assert_int_eq(copy("COPY (SELECT n, NULL, 'x' FROM generate_series($1, $2) AS n) TO STDOUT",
                          (const int32_t[]){-2, 200000}, 2)
                         ->status,
                     STORE_OK);
    ck_assert_int_eq(copied.count, 200003);
    ck_assert_str_eq(copied.first, "-2\t\\N\tx");
    ck_assert_int_eq(copy("COPY (SELECT WHERE false) TO STDOUT", NULL, 0)->status, STORE_OK);
    ck_assert_int_eq(copied.count, 0);
    ck_assert_int_eq(copy("COPY (SELECT 100 / (50000 - n) FROM generate_series(1, 60000) AS n) "
                          "TO STDOUT",
                          NULL, 0)
                         ->status,
                     STORE_REFUSED);
    ck_assert_str_eq(t.seen.error.sqlstate, "22012");
    ck_assert_int_gt(copied.count, 0);
    ck_assert_int_eq(copy("SELECT 1", NULL, 0)->status, STORE_OK);
    ck_assert_int_eq(t.downs, 0);
}
END_TEST

START_TEST(a_copy_that_nobody_wants_any_more)
{
    link_up();
    memset(&copied, 0, sizeof(copied));
    fresh();
    store_copy(t.link,
               "COPY (SELECT n, pg_sleep(0.001) FROM generate_series(1, 60000) AS n) TO STDOUT",
               NULL, 0, 0, on_line, on_copied, &copied);
    run_until(&copied.count, 1);
    store_link_cut(t.link);
    ck_assert_int_eq(answer()->status, STORE_IN_DOUBT);
    run_until(&t.ups, 2);
    ck_assert_str_eq(query("SELECT 1", 0)->text, "1");
}
END_TEST

static struct outcome_seen *read_refusals(struct store_posting **postings, size_t count,
                                          int64_t commit)
{
    fresh();
    store_read_refusals(t.link, postings, count, commit, on_posted, &t.seen);
    return answer();
}

START_TEST(refusals_of_a_commit_are_kept_until_forgotten)
{
    struct store_posting *batch[4];
    int64_t commit;

    link_up();
    open_account("kept:a");
    open_account("kept:b");
    batch[0] = posting(MUTATION_DEBIT, "kept-1", "kept:a", "@world", 1);
    batch[1] = posting(MUTATION_CREDIT, "kept-2", "kept:a", "@world", 5);
    batch[2] = posting(MUTATION_TRANSFER, "kept-3", "kept:b", "kept:a", 1);
    batch[3] = posting(MUTATION_CREDIT, "kept-4", "kept:none", "@world", 1);
    ck_assert_int_eq(post(batch, 4)->status, STORE_OK);
    commit = t.commit;
    ck_assert_int_eq(read_refusals(batch, 4, commit)->status, STORE_OK);
    ck_assert_int_eq(batch[0]->result.outcome, OUTCOME_INSUFFICIENT);
    ck_assert_str_ne(batch[0]->result.detail, "");
    ck_assert_int_eq(batch[1]->result.outcome, OUTCOME_UNKNOWN);
    ck_assert_int_eq(batch[2]->result.outcome, OUTCOME_INSUFFICIENT);
    ck_assert_int_eq(batch[3]->result.outcome, OUTCOME_NOACCOUNT);
    expect_state("kept:a", 5, 2);
    expect_state("kept:b", 0, 1);

    fresh();
    batch[1] = posting(MUTATION_CREDIT, "kept-5", "kept:a", "@world", 1);
    store_post(t.link, &batch[1], 1, next_commit(), commit, on_posted, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_int_eq(read_refusals(batch, 4, commit)->status, STORE_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(batch[i]->result.outcome, OUTCOME_UNKNOWN);
    }
    ck_assert_uint_eq(t.seen.count, 0);
}
END_TEST

START_TEST(locked_accounts_are_named)
{
    const struct account_id ids[3] = {id_of("lock:a"), id_of("lock:b"), id_of("lock:none")};
    const struct account_id *asked[3] = {&ids[0], &ids[1], &ids[2]};

    link_up();
    open_account("lock:a");
    open_account("lock:b");
    PGconn *other = cluster_connect("");
    cluster_exec_on(other, "BEGIN");
    cluster_exec_on(other, "SELECT FROM ballast.account WHERE account_id = 'lock:b' FOR UPDATE");
    fresh();
    store_read_locked(t.link, asked, 3, on_accounts, &t.seen);
    ck_assert_int_eq(answer()->status, STORE_OK);
    ck_assert_uint_eq(t.seen.count, 1);
    ck_assert(account_id_equal(&t.seen.entries[0].id, &ids[1]));
    PQfinish(other);
}
END_TEST

STORE_MAIN("requests", a_mixed_batch, duplicates_show_the_original, refusals,
           a_reverse_in_part_and_whole, a_thousand_in_one_batch, large_batches_under_tls,
           accounts_missing_and_there, pages_in_order, history_newest_first, balance_at_a_time,
           system_accounts_beyond_64_bits, any_statement_with_parameters, rows_by_copy,
           a_copy_that_nobody_wants_any_more, refusals_of_a_commit_are_kept_until_forgotten,
           locked_accounts_are_named)
