/*
 * The rows of accounts against their journals.
 *
 * Both are read as a whole, by COPY, and compared here (ops/books.h): a page of accounts would have
 * to fetch its movements from all over the journal. Where an account disagrees, or the journal names
 * one that has no row, it is looked at again by itself, in one statement, before it is reported.
 *
 * More accounts than BOOKS_ACCOUNTS, by the planner's estimate, are taken in parts, chosen by a hash,
 * each with a reading of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "gen/sql.h"
#include "ops/books.h"
#include "ops/reconcile_parts.h"

#define BOOKS_ACCOUNTS 4000000 /* 300 MB with their versions */
#define READINGS 3             /* of a part whose rows broke off, before it is given up */
#define SHOW_EVERY 4096        /* rows */
/* Of accounts that the journal names and that had no row: mostly opened since. */
#define NO_ROW_MAX 1000
#define TEXT_ROOM 256

struct names {
    struct account_id *ids;
    size_t count, cap;
};

struct reading {
    struct reconcile *r;
    struct books *books;
    struct names suspects;
    uint64_t accounts, movements;
    uint64_t before;  /* rows of the parts before */
    uint64_t rows;    /* of this part */
    int64_t estimate; /* of all rows; 0: none */
    bool malformed;   /* a row that cannot be */
};

/* --- rows --------------------------------------------------------------------------------------*/

/* The columns of a row, taken off its front one by one. */
struct columns {
    const char *at, *end;
};

static const char *take_text(struct columns *columns, size_t *len)
{
    const char *first = columns->at;
    const char *tab = memchr(first, '\t', (size_t)(columns->end - first));
    const char *stop = tab != NULL ? tab : columns->end;

    columns->at = tab != NULL ? tab + 1 : stop;
    *len = (size_t)(stop - first);
    return first;
}

static bool is_null(const char *text, size_t len)
{
    return len == 2 && text[0] == '\\' && text[1] == 'N';
}

static bool take_number(struct columns *columns, int64_t *number)
{
    size_t len;
    const char *text = take_text(columns, &len);

    return decimal_parse_int64(text, len, number) == DECIMAL_OK;
}

static void count_row(struct reading *reading)
{
    struct reconcile *r = reading->r;
    uint64_t rows = reading->before + ++reading->rows;

    if (rows % SHOW_EVERY == 0) {
        reconcile_show(r, "journal", rows,
                       reading->estimate > 0 ? (double)rows / (double)reading->estimate : -1);
    }
}

static void on_account(void *arg, const char *line, size_t len)
{
    struct reading *reading = arg;
    struct columns columns = {line, line + len};
    size_t id_len;
    const char *id = take_text(&columns, &id_len);
    int64_t balance, version;

    if (!take_number(&columns, &balance) || !take_number(&columns, &version)) {
        reading->malformed = true;
        return;
    }
    books_add_account(reading->books, id, id_len, balance, version);
    reading->accounts++;
    count_row(reading);
}

static void remember(struct names *names, const char *id, size_t len)
{
    if (names->count == names->cap) {
        names->cap = names->cap == 0 ? 64 : 2 * names->cap;
        names->ids = realloc(names->ids, names->cap * sizeof *names->ids);
        if (names->ids == NULL) {
            abort();
        }
    }
    if (account_id_parse(&names->ids[names->count], id, len)) {
        names->count++;
    }
}

static void add_entry(struct reading *reading, const char *id, size_t len, int64_t version,
                      int64_t amount)
{
    if (books_add_entry(reading->books, id, len, version, amount) == BOOKS_NO_ROW &&
        reading->suspects.count < NO_ROW_MAX) {
        remember(&reading->suspects, id, len);
    }
}

static void on_event(void *arg, const char *line, size_t len)
{
    struct reading *reading = arg;
    struct columns columns = {line, line + len};
    size_t id_len;
    const char *id = take_text(&columns, &id_len);
    int64_t version;

    if (!take_number(&columns, &version)) {
        reading->malformed = true;
        return;
    }
    add_entry(reading, id, id_len, version, 0);
    count_row(reading);
}

struct side {
    const char *id; /* NULL: not an account, or of another part */
    size_t len;
    int64_t version;
};

static bool take_side(struct columns *columns, struct side *side)
{
    const char *version;
    size_t len;

    side->id = take_text(columns, &side->len);
    version = take_text(columns, &len);
    if (is_null(side->id, side->len)) {
        side->id = NULL;
        return true;
    }
    return decimal_parse_int64(version, len, &side->version) == DECIMAL_OK;
}

static void on_movement(void *arg, const char *line, size_t len)
{
    struct reading *reading = arg;
    struct columns columns = {line, line + len};
    struct side from, to;
    int64_t amount;

    if (!take_side(&columns, &from) || !take_side(&columns, &to) ||
        !take_number(&columns, &amount)) {
        reading->malformed = true;
        return;
    }
    if (from.id != NULL) {
        add_entry(reading, from.id, from.len, from.version, -amount);
        reading->movements++;
    }
    if (to.id != NULL) {
        add_entry(reading, to.id, to.len, to.version, amount);
        reading->movements++;
    }
    count_row(reading);
}

/* Of the accounts, read once more: those that disagree. */
static void on_suspect(void *arg, const char *line, size_t len)
{
    struct reading *reading = arg;
    struct columns columns = {line, line + len};
    size_t id_len;
    const char *id = take_text(&columns, &id_len);

    if (books_is_wrong(reading->books, id, id_len)) {
        remember(&reading->suspects, id, id_len);
    }
}

/* --- one part -----------------------------------------------------------------------------------*/

static enum job_result read_table(struct reading *reading, const char *sql, const int32_t part[2],
                                  store_line_fn *line)
{
    return job_copy(reading->r->job, sql, part, 2, RECONCILE_STATEMENT_MS, line, reading);
}

static enum job_result read_part(struct reading *reading, const int32_t part[2])
{
    books_clear(reading->books);
    reading->suspects.count = 0;
    reading->accounts = reading->movements = reading->rows = 0;

    /* The accounts first: see ops/books.h. */
    enum job_result end = read_table(reading, sql_books_accounts, part, on_account);
    if (end == JOB_OK) {
        end = read_table(reading, sql_books_events, part, on_event);
    }
    if (end == JOB_OK) {
        end = read_table(reading, sql_books_movements, part, on_movement);
    }
    if (end == JOB_OK && books_count_wrong(reading->books) > 0) {
        end = read_table(reading, sql_books_accounts, part, on_suspect);
    }
    if (end == JOB_OK && reading->malformed) {
        return job_fail(reading->r->job, JOB_FAILED,
                        "PostgreSQL gives accounts or a journal of another form");
    }
    return end;
}

/* --- what is reported ---------------------------------------------------------------------------*/

struct disagreement {
    bool found;
    char row[TEXT_ROOM], journal[TEXT_ROOM];
};

static void take_disagreement(void *arg, const struct store_rows *rows)
{
    struct disagreement *account = arg;

    account->found = rows->rows > 0;
    if (!account->found) {
        return;
    }
    if (rows->value(rows, 0, 1) == NULL) {
        snprintf(account->row, sizeof account->row, "no row");
    } else {
        snprintf(account->row, sizeof account->row, "balance %s, version %s",
                 rows->value(rows, 0, 0), rows->value(rows, 0, 1));
    }
    snprintf(account->journal, sizeof account->journal,
             "balance %s, %s versions in %s rows, the last %s", rows->value(rows, 0, 2),
             rows->value(rows, 0, 3), rows->value(rows, 0, 4), rows->value(rows, 0, 5));
}

static int compare_ids(const void *a, const void *b)
{
    const struct account_id *one = a, *other = b;
    size_t len = one->len < other->len ? one->len : other->len;
    int order = memcmp(one->bytes, other->bytes, len);

    return order != 0 ? order : (int)one->len - (int)other->len;
}

/* Looks at each suspect again, and reports it where it still disagrees. */
static enum job_result report(struct reconcile *r, struct names *suspects)
{
    enum job_result end = JOB_OK;

    if (suspects->count > 0) {
        qsort(suspects->ids, suspects->count, sizeof suspects->ids[0], compare_ids);
    }
    for (size_t i = 0; end == JOB_OK && i < suspects->count; i++) {
        char id[ACCOUNT_ID_MAX + 1];
        const char *params[1] = {id};
        struct disagreement account = {.found = false};

        if (i > 0 && account_id_equal(&suspects->ids[i], &suspects->ids[i - 1])) {
            continue;
        }
        snprintf(id, sizeof id, "%.*s", suspects->ids[i].len, suspects->ids[i].bytes);
        end = job_query_long(r->job, sql_reconcile_account, params, 1, RECONCILE_STATEMENT_MS, true,
                             take_disagreement, &account);
        if (end == JOB_OK && account.found) {
            end = reconcile_note(r, &(struct reconcile_finding){.check = "journal",
                                                                .account = id,
                                                                .expected = account.journal,
                                                                .found = account.row});
        }
    }
    return end;
}

static int32_t parts_for(uint64_t accounts)
{
    int32_t parts = 1;

    while ((uint64_t)parts * BOOKS_ACCOUNTS < accounts) {
        parts *= 2;
    }
    return parts;
}

enum job_result reconcile_journal(struct reconcile *r)
{
    struct reading reading = {.r = r, .books = books_create()};
    int32_t parts = parts_for(r->estimate);
    enum job_result end =
        job_query_int(r->job, sql_books_estimate, NULL, 0, true, &reading.estimate);

    for (int32_t part = 0; end == JOB_OK && part < parts; part++) {
        const int32_t chosen[2] = {parts - 1, part};
        for (int i = 0; i < READINGS; i++) {
            end = read_part(&reading, chosen);
            if (end != JOB_LATER) {
                break;
            }
        }
        reading.before += reading.rows;
        r->result->accounts += reading.accounts;
        r->result->transfers += reading.movements;
        if (end == JOB_OK) {
            end = report(r, &reading.suspects);
        }
    }
    free(reading.suspects.ids);
    books_free(reading.books);
    return end == JOB_LATER ? JOB_UNREACHABLE : end;
}
