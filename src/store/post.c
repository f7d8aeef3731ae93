/*
 * Posting: mutations into the arrays of ballast.post_batch(), its rows back into their
 * results.
 *
 * `op` is the posting's place in the batch; an MTRANSFER is one row a leg, all with its op. The
 * reply has one part-0 row for every op, and that is checked to the letter: a reply that does not
 * fit is refused as a whole. It came with a commit, so that it is IN_DOUBT, never REFUSED, and the
 * connection is given up with it: who talks like this is not to be trusted with the next batch.
 */
#include "store/link.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "store/rows.h"

/* --- mutations into parameters ----------------------------------------------------------------*/

/* One row of the arrays. */
struct post_row {
    const struct mutation *mutation;
    const struct mutation_leg *leg; /* of an MTRANSFER, else NULL */
    int32_t op;
};

enum post_column {
    COLUMN_KIND,
    COLUMN_KEY,
    COLUMN_ACCOUNT,
    COLUMN_PEER,
    COLUMN_ASSET,
    COLUMN_AMOUNT,
    COLUMN_TARGET,
    COLUMN_MEMO,
    COLUMN_OP,
    COLUMN_COUNT
};

static const enum param_type column_types[COLUMN_COUNT] = {
    [COLUMN_KIND] = PARAM_TEXT,   [COLUMN_KEY] = PARAM_TEXT,   [COLUMN_ACCOUNT] = PARAM_TEXT,
    [COLUMN_PEER] = PARAM_TEXT,   [COLUMN_ASSET] = PARAM_TEXT, [COLUMN_AMOUNT] = PARAM_INT8,
    [COLUMN_TARGET] = PARAM_INT8, [COLUMN_MEMO] = PARAM_TEXT,  [COLUMN_OP] = PARAM_INT4,
};

static void put_text(struct params *params, const char *bytes, size_t len)
{
    if (len == 0) {
        params_element_null(params);
    } else {
        params_element_text(params, bytes, len);
    }
}

static void put_amount(struct params *params, const struct post_row *row)
{
    const struct mutation *m = row->mutation;

    if (row->leg != NULL) {
        params_element_int8(params, row->leg->amount);
    } else if (m->has_amount || m->kind == MUTATION_OPEN) {
        params_element_int8(params, m->amount);
    } else {
        params_element_null(params);
    }
}

static void put_target(struct params *params, const struct mutation *m)
{
    if (m->target != 0) { /* ids are int8: what is beyond is nobody's, and neither is the last */
        params_element_int8(params, m->target > INT64_MAX ? INT64_MAX : (int64_t)m->target);
    } else if (m->kind == MUTATION_CHARGE) {
        params_element_int8(params, m->threshold);
    } else if (m->kind == MUTATION_HOLD && m->ttl_s > 0) {
        params_element_int8(params, m->ttl_s);
    } else {
        params_element_null(params);
    }
}

/* The memo, and the words of those that have none. */
static void put_memo(struct params *params, const struct mutation *m)
{
    if (m->kind == MUTATION_SETTLE) {
        const char *name = mutation_settlement_name(m->settlement);
        params_element_text(params, name, strlen(name));
    } else if (m->kind == MUTATION_SUSPEND && m->if_below) {
        params_element_text(params, "ifbelow", strlen("ifbelow"));
    } else {
        put_text(params, m->memo, m->memo_len);
    }
}

static void put_cell(struct params *params, enum post_column column, const struct post_row *row)
{
    const struct mutation *m = row->mutation;
    const struct account_id *account = row->leg == NULL ? &m->account : &row->leg->from;
    const struct account_id *peer = row->leg == NULL ? &m->peer : &row->leg->to;
    const char *kind;

    switch (column) {
    case COLUMN_KIND:
        kind = mutation_kind_name(m->kind);
        params_element_text(params, kind, strlen(kind));
        break;
    case COLUMN_KEY:
        put_text(params, m->key, m->key_len);
        break;
    case COLUMN_ACCOUNT:
        put_text(params, account->bytes, account->len);
        break;
    case COLUMN_PEER:
        put_text(params, peer->bytes, peer->len);
        break;
    case COLUMN_ASSET:
        put_text(params, m->asset.bytes, m->asset.len);
        break;
    case COLUMN_AMOUNT:
        put_amount(params, row);
        break;
    case COLUMN_TARGET:
        put_target(params, m);
        break;
    case COLUMN_MEMO:
        put_memo(params, m);
        break;
    case COLUMN_OP:
        params_element_int4(params, row->op);
        break;
    case COLUMN_COUNT:
        assert(!"a column");
    }
}

static int rows_of(const struct mutation *m)
{
    assert(m->kind != MUTATION_MTRANSFER || m->leg_count > 0);
    return m->kind == MUTATION_MTRANSFER ? m->leg_count : 1;
}

static void put_column(struct params *params, enum post_column column,
                       struct store_posting *const *postings, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct mutation *m = &postings[i]->mutation;
        struct post_row row = {.mutation = m, .leg = NULL, .op = (int32_t)i};

        for (int leg = 0; leg < rows_of(m); leg++) {
            if (m->kind == MUTATION_MTRANSFER) {
                row.leg = &m->legs[leg];
            }
            put_cell(params, column, &row);
        }
    }
}

/* --- rows into results ------------------------------------------------------------------------*/

/* The columns of sql/post_batch.sql. */
enum { AT_OP, AT_PART, AT_OUTCOME, AT_ID, AT_ACCOUNT, AT_DUPLICATE = 11, AT_CHANGED, AT_DETAIL };
#define POST_SHAPE "42t8" ROWS_ACCOUNT "bbt"

struct post_reader {
    const PGresult *rows;
    struct store_posting *const *postings;
    size_t posting_count;
    struct account_entry *states;
    size_t state_count;
    size_t answered; /* ops that had their part 0 */
    bool *seen;      /* by op */
};

/* An account is there whole or not at all; NULLs are a result that names none. */
static bool read_account(const PGresult *rows, int row, struct account_entry *entry)
{
    if (rows_is_null(rows, row, AT_ACCOUNT + ROWS_ACCOUNT_COLUMNS - 1)) { /* its version */
        memset(entry, 0, sizeof(*entry));
        return true;
    }
    return rows_account(rows, row, AT_ACCOUNT, entry);
}

static bool read_flag(const PGresult *rows, int row, int column, bool *flag)
{
    if (rows_is_null(rows, row, column)) {
        *flag = false;
        return true;
    }
    return rows_bool(rows, row, column, flag);
}

static bool read_part_0(const PGresult *rows, int row, struct mutation_result *result)
{
    const char *outcome = rows_text(rows, row, AT_OUTCOME);
    const char *detail = rows_text(rows, row, AT_DETAIL);

    memset(result, 0, sizeof(*result));
    if (outcome == NULL ||
        !outcome_parse(&result->outcome, outcome, (size_t)PQgetlength(rows, row, AT_OUTCOME)) ||
        !read_flag(rows, row, AT_DUPLICATE, &result->duplicate) ||
        !read_flag(rows, row, AT_CHANGED, &result->changed) ||
        !read_account(rows, row, &result->account)) {
        return false;
    }
    if (!rows_is_null(rows, row, AT_ID) && !rows_count(rows, row, AT_ID, &result->transfer)) {
        return false;
    }
    snprintf(result->detail, sizeof(result->detail), "%s", detail == NULL ? "" : detail);
    return true;
}

/* What a reply that says OK has to carry for its kind, so that nobody shows a zero for it. */
static bool result_is_whole(const struct mutation *m, const struct mutation_result *result)
{
    switch (m->kind) {
    case MUTATION_OPEN:
    case MUTATION_SETFLOOR:
    case MUTATION_CLOSE:
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
    case MUTATION_RELEASE:
    case MUTATION_SETTLE:
    case MUTATION_CANSPEND:
        return result->account.state.version > 0;
    case MUTATION_EXPIRE:
        return true;
    case MUTATION_HOLD:
        return result->transfer > 0 && result->account.state.version > 0 &&
               result->detail[0] != '\0';
    case MUTATION_CREDIT:
    case MUTATION_DEBIT:
    case MUTATION_CAPTURE:
    case MUTATION_CHARGE:
        return result->transfer > 0 && result->account.state.version > 0;
    case MUTATION_TRANSFER:
        return result->transfer > 0 &&
               (result->account.state.version > 0 || account_id_is_system(&m->account)) &&
               (result->to.state.version > 0 || account_id_is_system(&m->peer));
    case MUTATION_MTRANSFER:
    case MUTATION_REVERSE:
        return result->transfer > 0;
    case MUTATION_KIND_COUNT:
        break;
    }
    return false;
}

static void add_state(struct post_reader *reader, const struct account_entry *entry)
{
    if (entry->state.version > 0) {
        reader->states[reader->state_count++] = *entry;
    }
}

/* NULL, or what is wrong with the row. Rows come ordered by op and part. */
static const char *read_row(struct post_reader *reader, int row)
{
    const PGresult *rows = reader->rows;
    struct mutation_result *result;
    struct account_entry entry;
    int32_t op;
    int16_t part;

    if (!rows_int4(rows, row, AT_OP, &op) || op < 0 || (size_t)op >= reader->posting_count) {
        return "an operation that was not asked";
    }
    if (!rows_int2(rows, row, AT_PART, &part)) {
        return "a row without its part";
    }
    result = &reader->postings[op]->result;
    if (part == 0) {
        if (reader->seen[op]) {
            return "an operation answered twice";
        }
        if (!read_part_0(rows, row, result)) {
            return "an outcome or account that cannot be read";
        }
        reader->seen[op] = true;
        reader->answered++;
        if (!result->duplicate) { /* a duplicate shows what was, not what is */
            add_state(reader, &result->account);
        }
        return NULL;
    }
    if (!reader->seen[op]) {
        return "a further row before its operation";
    }
    if (!read_account(rows, row, &entry)) {
        return "an account that cannot be read";
    }
    if (part == 1) {
        if (result->to.state.version > 0) {
            return "a second other side";
        }
        result->to = entry;
        if (!result->duplicate) {
            add_state(reader, &entry);
        }
        return NULL;
    }
    if (part != 2) {
        return "an unknown part";
    }
    add_state(reader, &entry);
    return NULL;
}

static const char *read_rows(struct post_reader *reader)
{
    int rows = PQntuples(reader->rows);

    if (!rows_have_shape(reader->rows, POST_SHAPE)) {
        return "other columns than asked for";
    }
    for (int row = 0; row < rows; row++) {
        const char *wrong = read_row(reader, row);

        if (wrong != NULL) {
            return wrong;
        }
    }
    if (reader->answered != reader->posting_count) {
        return "an operation without an answer";
    }
    for (size_t i = 0; i < reader->posting_count; i++) {
        const struct store_posting *posting = reader->postings[i];

        if (posting->result.outcome == OUTCOME_OK &&
            !result_is_whole(&posting->mutation, &posting->result)) {
            return "an answer without its transfer or account";
        }
    }
    return NULL;
}

/* --- the request ------------------------------------------------------------------------------*/

static void posted(struct store_link *link, const struct store_request *request,
                   const struct store_reply *reply)
{
    struct post_reader reader = {
        .rows = reply->result,
        .postings = request->postings,
        .posting_count = request->posting_count,
    };
    struct store_posted result = {NULL, 0};
    struct store_error error = {"", ""};
    const char *wrong;

    if (reply->status != STORE_OK) {
        request->done.post(request->arg, reply->status, reply->error, &result);
        return;
    }
    reader.states = link_entries(link, (size_t)PQntuples(reply->result));
    reader.seen = link_scratch(link, reader.posting_count * sizeof(*reader.seen));
    memset(reader.seen, 0, reader.posting_count * sizeof(*reader.seen));
    wrong = read_rows(&reader);
    if (wrong != NULL) {
        log_event(LOG_LEVEL_ERROR, "store-reply-refused", "statement=post_batch batch=%zu what=%s",
                  reader.posting_count, LOG_VALUE(wrong));
        snprintf(error.text, sizeof(error.text), "the store's reply to a batch is refused: %s",
                 wrong);
        link_fail(link, "%s", error.text);
        request->done.post(request->arg, STORE_IN_DOUBT, &error, &result);
        return;
    }
    result = (struct store_posted){reader.states, reader.state_count};
    request->done.post(request->arg, STORE_OK, reply->error, &result);
}

void store_post(struct store_link *link, struct store_posting *const *postings, size_t count,
                int64_t commit, int64_t forget, store_post_fn *done, void *arg)
{
    struct params *params = request_params(link);
    int rows = 0;

    assert(count > 0 && count <= LIMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        rows += rows_of(&postings[i]->mutation);
    }
    for (int column = 0; column < COLUMN_COUNT; column++) {
        params_array(params, column_types[column], rows);
        put_column(params, (enum post_column)column, postings, count);
    }
    params_int8(params, commit);
    if (forget != 0) {
        params_int8(params, forget);
    } else {
        params_null(params);
    }
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_POST_BATCH,
                                                 .finish = posted,
                                                 .done.post = done,
                                                 .arg = arg,
                                                 .postings = postings,
                                                 .posting_count = count});
}
