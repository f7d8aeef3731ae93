/* Accounts and assets: parsing and small arithmetic. See the header. */
#include "model/account.h"

#include <string.h>

#include "base/attributes.h"

/* Bytes that an account id is made of; '@' is allowed in front only. */
static bool id_byte(unsigned char c)
{
    static const bool allowed[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['_'] = true,
        ['.'] = true,         [':'] = true,         ['-'] = true,
    };
    return allowed[c];
}

bool account_id_parse(struct account_id *id, const char *bytes, size_t len)
{
    if (len == 0 || len > ACCOUNT_ID_MAX) {
        return false;
    }
    size_t start = bytes[0] == '@' ? 1 : 0;
    if (start == len) {
        return false;
    }
    bool good = true;
    for (size_t i = start; i < len; i++) {
        good &= id_byte((unsigned char)bytes[i]); /* it mostly is: no branch a byte */
    }
    if (!good) {
        return false;
    }
    id->len = (uint8_t)len;
    memcpy(id->bytes, bytes, len);
    return true;
}

bool account_id_is_system(const struct account_id *id)
{
    return id->len > 0 && id->bytes[0] == '@';
}

bool account_id_equal(const struct account_id *a, const struct account_id *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* FNV-1a, 32 bits (Fowler, Noll, Vo): for tables in memory only, nothing depends on its value. */
int account_id_compare(const struct account_id *a, const struct account_id *b)
{
    int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);

    return order != 0 ? order : (int)a->len - (int)b->len;
}

uint32_t account_id_hash(const struct account_id *id)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < id->len; i++) {
        hash = (hash ^ (unsigned char)id->bytes[i]) * 16777619u;
    }
    return hash;
}

/* Bytes that the code of an asset is made of. */
static bool code_byte(unsigned char c)
{
    static const bool allowed[256] = {['0' ... '9'] = true, ['A' ... 'Z'] = true};
    return allowed[c];
}

bool asset_parse(struct asset *asset, const char *bytes, size_t len)
{
    size_t slash = 0;
    while (slash < len && code_byte((unsigned char)bytes[slash])) {
        slash++;
    }
    if (slash < 1 || slash > 12 || slash == len || bytes[slash] != '/') {
        return false;
    }
    const char *scale = bytes + slash + 1;
    size_t scale_len = len - slash - 1;
    bool is_scale = (scale_len == 1 && scale[0] >= '0' && scale[0] <= '9') ||
                    (scale_len == 2 && scale[0] == '1' && scale[1] >= '0' && scale[1] <= '8');
    if (!is_scale) {
        return false;
    }
    asset->len = (uint8_t)len;
    memcpy(asset->bytes, bytes, len);
    return true;
}

bool account_can_spend(const struct account_state *state, int64_t amount)
{
    return state->version > 0 && state->status == ACCOUNT_ACTIVE &&
           (__int128)state->balance - state->held - amount >= state->floor;
}

int64_t account_available(const struct account_state *state)
{
    int64_t available;
    if (__builtin_sub_overflow(state->balance, state->held, &available)) {
        return INT64_MIN; /* held is never negative: only the low end can be passed */
    }
    return available;
}

static const char *const status_names[] = {
    [ACCOUNT_ACTIVE] = "active",
    [ACCOUNT_SUSPENDED] = "suspended",
    [ACCOUNT_CLOSED] = "closed",
};

const char *account_status_name(enum account_status status)
{
    assert((unsigned)status < sizeof status_names / sizeof status_names[0]);
    return status_names[status];
}

bool account_status_parse(enum account_status *status, const char *bytes, size_t len)
{
    for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
        if (len == strlen(status_names[i]) && memcmp(bytes, status_names[i], len) == 0) {
            *status = (enum account_status)i;
            return true;
        }
    }
    return false;
}
