/* The shapes of answers: fields in the order that the protocol promises. */
#include "server/reply_encode.h"

#include <string.h>

/* --- errors -----------------------------------------------------------------------------------*/

static const char *happened(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_UNAVAILABLE:
        return "the store cannot be reached, or did not answer in time";
    case OUTCOME_UNKNOWN:
        return "the deadline passed while a commit was in doubt";
    case OUTCOME_BUSY:
        return "too many requests wait for the store";
    case OUTCOME_STALE:
        return "the store cannot be asked, and the cached value may be old";
    default:
        return "refused";
    }
}

void encode_refusal(struct resp_writer *out, enum outcome outcome, const char *detail)
{
    resp_error(
        out, outcome_word(outcome), "%s; %s; %s", detail[0] != '\0' ? detail : happened(outcome),
        outcome == OUTCOME_UNKNOWN ? "it may or may not have been applied" : "nothing was applied",
        outcome_advice(outcome));
}

enum reply_grade encode_read_error(struct resp_writer *out, enum outcome outcome)
{
    resp_error(out, outcome_word(outcome), "%s; %s", happened(outcome), outcome_advice(outcome));
    return outcome == OUTCOME_UNAVAILABLE || outcome == OUTCOME_STALE ? REPLY_FAILED : REPLY_ERROR;
}

enum outcome encode_read_outcome(const struct read_item *item, bool stale_ok)
{
    switch (item->answer) {
    case READ_CURRENT:
        return OUTCOME_OK;
    case READ_STALE:
        if (item->state.version == 0) {
            return OUTCOME_UNAVAILABLE; /* absence is never evidence (invariant 5) */
        }
        return stale_ok ? OUTCOME_OK : OUTCOME_STALE;
    case READ_BUSY:
        return OUTCOME_BUSY;
    case READ_UNAVAILABLE:
        break;
    }
    return OUTCOME_UNAVAILABLE;
}

/* --- fields -----------------------------------------------------------------------------------*/

static void field_int64(struct resp_writer *out, const char *name, int64_t value)
{
    resp_bulk_text(out, name);
    resp_bulk_int64(out, value);
}

static void field_uint64(struct resp_writer *out, const char *name, uint64_t value)
{
    resp_bulk_text(out, name);
    resp_bulk_uint64(out, value);
}

static void field_flag(struct resp_writer *out, const char *name, bool value)
{
    resp_bulk_text(out, name);
    resp_int(out, value ? 1 : 0);
}

static void field_text(struct resp_writer *out, const char *name, const char *text)
{
    resp_bulk_text(out, name);
    if (text == NULL) {
        resp_nil(out);
    } else {
        resp_bulk_text(out, text);
    }
}

static void field_account(struct resp_writer *out, const char *name, const struct account_id *id)
{
    resp_bulk_text(out, name);
    resp_bulk(out, id->bytes, id->len);
}

static void field_asset(struct resp_writer *out, const struct asset *asset)
{
    resp_bulk_text(out, "asset");
    resp_bulk(out, asset->bytes, asset->len);
}

/* --- reads ------------------------------------------------------------------------------------*/

void encode_balance(struct resp_writer *out, const struct read_item *item)
{
    const struct account_state *state = &item->state;
    bool from_cache = item->source == READ_FROM_CACHE;

    resp_map(out, 11);
    field_account(out, "account", &item->id);
    field_asset(out, &state->asset);
    field_int64(out, "balance", state->balance);
    field_int64(out, "held", state->held);
    field_int64(out, "available", account_available(state));
    field_int64(out, "floor", state->floor);
    field_text(out, "status", account_status_name(state->status));
    field_uint64(out, "version", state->version);
    field_text(out, "source", from_cache ? "cache" : "sql");
    resp_bulk_text(out, "age_ms");
    resp_int(out, item->age_ms);
    field_flag(out, "stale", item->answer == READ_STALE);
}

void encode_system_balance(struct resp_writer *out, const struct query_item *item)
{
    resp_array(out, item->rows);
    for (size_t i = 0; i < item->rows; i++) {
        resp_map(out, 3);
        field_account(out, "account", &item->account);
        field_text(out, "asset", item->system_balances[i].asset);
        field_text(out, "balance", item->system_balances[i].balance);
    }
}

void encode_history(struct resp_writer *out, const struct query_item *item)
{
    resp_array(out, item->rows);
    for (size_t i = 0; i < item->rows; i++) {
        const struct store_history_row *row = &item->history[i];
        resp_map(out, 9);
        field_uint64(out, "transfer", row->transfer);
        field_uint64(out, "version", row->version);
        field_int64(out, "amount", row->amount);
        field_int64(out, "balance", row->balance);
        field_text(out, "counterparty", row->counterparty);
        field_text(out, "kind", row->kind);
        field_text(out, "key", row->key);
        field_text(out, "memo", row->memo);
        field_text(out, "at", row->at);
    }
}

/* Open charges: the columns of sql/charge_list.sql are the fields. */
void encode_charges(struct resp_writer *out, const struct query_item *item)
{
    static const char *const fields[] = {"charge", "account", "amount", "state", "begun"};
    const size_t count = sizeof fields / sizeof fields[0];

    assert(item->columns == count);
    resp_array(out, item->rows);
    for (size_t row = 0; row < item->rows; row++) {
        resp_map(out, count);
        for (size_t i = 0; i < count; i++) {
            field_text(out, fields[i], item->cells[row * count + i]);
        }
    }
}

void encode_balance_at(struct resp_writer *out, const struct query_item *item)
{
    resp_map(out, 4);
    field_account(out, "account", &item->account);
    field_int64(out, "balance", item->balance);
    field_uint64(out, "version", item->version);
    field_text(out, "at", item->time);
}

/* --- mutations --------------------------------------------------------------------------------*/

static void encode_opened(struct resp_writer *out, const struct mutation_result *result)
{
    resp_map(out, 5);
    field_account(out, "account", &result->account.id);
    field_asset(out, &result->account.state.asset);
    field_int64(out, "floor", result->account.state.floor);
    field_uint64(out, "version", result->account.state.version);
    field_flag(out, "created", result->changed);
}

static void encode_setting(struct resp_writer *out, const struct mutation_result *result)
{
    const struct account_state *state = &result->account.state;

    resp_map(out, 7);
    field_account(out, "account", &result->account.id);
    field_text(out, "status", account_status_name(state->status));
    field_int64(out, "floor", state->floor);
    field_int64(out, "available", account_available(state));
    field_uint64(out, "version", state->version);
    field_flag(out, "changed", result->changed);
    field_flag(out, "duplicate", result->duplicate);
}

/* A side that is a system account has nothing to show and is left out. */
static void encode_movement(struct resp_writer *out, enum mutation_kind kind,
                            const struct mutation_result *result)
{
    const struct account_entry *account = &result->account;
    const struct account_entry *to = &result->to;
    bool has_account = account->id.len > 0;
    bool has_to = to->id.len > 0;

    if (kind == MUTATION_REVERSE && !has_account && has_to) {
        /* Paid back by a system account: the reply is about the one that has a balance. */
        account = to;
        has_account = true;
        has_to = false;
    }
    resp_map(out, 2 + (has_account ? 4 : 0) + (has_to ? 4 : 0));
    field_uint64(out, "transfer", result->transfer);
    if (has_account) {
        field_account(out, "account", &account->id);
        field_int64(out, "balance", account->state.balance);
        field_int64(out, "available", account_available(&account->state));
        field_uint64(out, "version", account->state.version);
    }
    field_flag(out, "duplicate", result->duplicate);
    if (has_to) {
        field_account(out, "to", &to->id);
        field_int64(out, "to_balance", to->state.balance);
        field_int64(out, "to_available", account_available(&to->state));
        field_uint64(out, "to_version", to->state.version);
    }
}

static void encode_held(struct resp_writer *out, const struct mutation *m,
                        const struct mutation_result *result)
{
    const struct account_state *state = &result->account.state;
    bool begun = m->kind == MUTATION_HOLD;

    resp_map(out, begun ? 7 : 6);
    field_uint64(out, "hold", begun ? result->transfer : m->target);
    field_account(out, "account", &result->account.id);
    field_int64(out, "balance", state->balance);
    field_int64(out, "available", account_available(state));
    field_uint64(out, "version", state->version);
    if (begun) {
        field_text(out, "expires", result->detail);
    }
    field_flag(out, "duplicate", result->duplicate);
}

static void encode_charge(struct resp_writer *out, const struct mutation *m,
                          const struct mutation_result *result)
{
    resp_map(out, 6);
    field_uint64(out, "charge", result->transfer);
    field_account(out, "account", &result->account.id);
    field_int64(out, "amount", m->amount);
    field_text(out, "state", "begun");
    field_uint64(out, "version", result->account.state.version);
    field_flag(out, "duplicate", result->duplicate);
}

static void encode_settlement(struct resp_writer *out, const struct mutation *m,
                              const struct mutation_result *result)
{
    const struct account_state *state = &result->account.state;

    resp_map(out, 7);
    field_uint64(out, "charge", m->target);
    field_text(out, "state", mutation_settlement_name(m->settlement));
    field_account(out, "account", &result->account.id);
    field_int64(out, "balance", state->balance);
    field_int64(out, "available", account_available(state));
    field_uint64(out, "version", state->version);
    field_flag(out, "duplicate", result->duplicate);
}

void encode_mutation(struct resp_writer *out, const struct mutation *m,
                     const struct mutation_result *result)
{
    switch (m->kind) {
    case MUTATION_OPEN:
        encode_opened(out, result);
        break;
    case MUTATION_SETFLOOR:
    case MUTATION_CLOSE:
    case MUTATION_SUSPEND:
    case MUTATION_RESUME:
        encode_setting(out, result);
        break;
    case MUTATION_HOLD:
    case MUTATION_RELEASE:
        encode_held(out, m, result);
        break;
    case MUTATION_CHARGE:
        encode_charge(out, m, result);
        break;
    case MUTATION_SETTLE:
        encode_settlement(out, m, result);
        break;
    default:
        encode_movement(out, m->kind, result);
    }
}
