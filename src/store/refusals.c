/*
 * What a commit refused whose answer was lost, and what it expired: rows of sql/read_refusals.sql
 * into the results of its postings. An operation has a row for each account that its answer told
 * of, or one without.
 */
#include "store/link.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "store/rows.h"

enum { AT_OP, AT_OUTCOME, AT_DETAIL, AT_ACCOUNT };
#define REFUSALS_SHAPE "4tt" ROWS_ACCOUNT

static bool read_refusal(const PGresult *rows, int row, enum mutation_kind kind,
                         struct mutation_result *result)
{
    const char *outcome = rows_text(rows, row, AT_OUTCOME);
    const char *detail = rows_text(rows, row, AT_DETAIL);

    snprintf(result->detail, sizeof result->detail, "%s", detail == NULL ? "" : detail);
    return outcome != NULL &&
           outcome_parse(&result->outcome, outcome, (size_t)PQgetlength(rows, row, AT_OUTCOME)) &&
           (result->outcome != OUTCOME_OK || kind == MUTATION_EXPIRE);
}

static bool read_refusals(const PGresult *rows, const struct store_request *request,
                          struct account_entry *states, size_t *state_count)
{
    if (!rows_have_shape(rows, REFUSALS_SHAPE)) {
        return false;
    }
    for (int row = 0; row < PQntuples(rows); row++) {
        struct store_posting *posting;
        int32_t op;

        if (!rows_int4(rows, row, AT_OP, &op) || op < 0 || (size_t)op >= request->posting_count) {
            return false;
        }
        posting = request->postings[op];
        if (!read_refusal(rows, row, posting->mutation.kind, &posting->result)) {
            return false;
        }
        if (!rows_is_null(rows, row, AT_ACCOUNT) &&
            !rows_account(rows, row, AT_ACCOUNT, &states[(*state_count)++])) {
            return false;
        }
    }
    return true;
}

static void refusals_came(struct store_link *link, const struct store_request *request,
                          const struct store_reply *reply)
{
    struct account_entry *states;
    size_t count = 0;

    if (reply->status != STORE_OK) {
        request->done.post(request->arg, reply->status, reply->error, &(struct store_posted){0});
        return;
    }
    for (size_t i = 0; i < request->posting_count; i++) {
        struct mutation_result *result = &request->postings[i]->result;

        memset(result, 0, sizeof *result);
        result->outcome = OUTCOME_UNKNOWN;
    }
    states = link_entries(link, (size_t)PQntuples(reply->result));
    if (!read_refusals(reply->result, request, states, &count)) {
        struct store_error error = request_misfit(request);

        request->done.post(request->arg, STORE_REFUSED, &error, &(struct store_posted){0});
        return;
    }
    request->done.post(request->arg, STORE_OK, reply->error, &(struct store_posted){states, count});
}

void store_read_refusals(struct store_link *link, struct store_posting *const *postings,
                         size_t count, int64_t commit, store_post_fn *done, void *arg)
{
    assert(count > 0 && count <= LIMIT_BATCH_MAX);
    params_int8(request_params(link), commit);
    request_submit(link, &(struct store_request){.kind = REQUEST_PREPARED,
                                                 .statement = STATEMENT_READ_REFUSALS,
                                                 .finish = refusals_came,
                                                 .done.post = done,
                                                 .arg = arg,
                                                 .postings = postings,
                                                 .posting_count = count});
}
