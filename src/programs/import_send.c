/* The commands that an import sends. See the header. */
#include "programs/import_send.h"

#include "base/decimal.h"

struct words {
    int count;
    const char *items[8];
    size_t lengths[8];
};

static void add_word(struct words *words, const char *bytes, size_t len)
{
    words->items[words->count] = bytes;
    words->lengths[words->count++] = len;
}

void import_send_open(struct client *client, const struct account_id *account,
                      const struct asset *asset, int64_t floor)
{
    struct words words = {0};
    char digits[DECIMAL_ROOM];

    add_word(&words, "OPEN", 4);
    add_word(&words, account->bytes, account->len);
    add_word(&words, asset->bytes, asset->len);
    add_word(&words, "FLOOR", 5);
    add_word(&words, digits, decimal_write_int64(digits, floor));
    client_append(client, words.count, words.items, words.lengths);
}

void import_send_look(struct client *client, const struct account_id *account)
{
    struct words words = {0};

    add_word(&words, "BALANCE", 7);
    add_word(&words, account->bytes, account->len);
    client_append(client, words.count, words.items, words.lengths);
}

void import_send_row(struct client *client, const struct mutation *m)
{
    struct words words = {0};
    char digits[DECIMAL_ROOM];

    add_word(&words, m->kind == MUTATION_CREDIT ? "CREDIT" : "DEBIT",
             m->kind == MUTATION_CREDIT ? 6 : 5);
    add_word(&words, m->account.bytes, m->account.len);
    add_word(&words, digits, decimal_write_int64(digits, m->amount));
    add_word(&words, "KEY", 3);
    add_word(&words, m->key, m->key_len);
    if (m->memo_len > 0) {
        add_word(&words, "MEMO", 4);
        add_word(&words, m->memo, m->memo_len);
    }
    client_append(client, words.count, words.items, words.lengths);
}
