/* Accounts in the order in which they came, and a table of their numbers. See the header. */
#include "ops/books.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/siphash.h"

#define ROOM_FIRST 1024 /* a power of two, as every size after it */
/* Of versions, for all accounts; 512 MB, of which only what is touched becomes memory. Rows that claim
 * more than this between them are wrong, or need the look at a single account. */
#define BITS_MAX (UINT64_C(1) << 32)

struct account {
    uint64_t hash;
    uint64_t first; /* bit of version 1; the versions end where those of the next account begin */
    uint64_t low;   /* what is left of the balance: 96 bits in two's complement */
    uint32_t high;
    bool wrong; /* a version came twice, or the row's cannot be */
};

struct books {
    uint8_t key[SIPHASH_KEY_BYTES]; /* nobody can choose ids that fall together */
    struct account *accounts;
    size_t count, cap;
    uint32_t *places; /* by hash, number of the account + 1; 0: free */
    size_t room;
    uint64_t *bits;
    uint64_t bit_count;
    size_t words; /* of bits, that there is memory for */
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (memory == NULL) {
        abort();
    }
    return memory;
}

struct books *books_create(void)
{
    struct books *books = allocate(1, sizeof *books);

    random_bytes(books->key, sizeof books->key);
    books->room = ROOM_FIRST;
    books->places = allocate(books->room, sizeof *books->places);
    return books;
}

void books_free(struct books *books)
{
    if (books != NULL) {
        free(books->accounts);
        free(books->places);
        free(books->bits);
        free(books);
    }
}

void books_clear(struct books *books)
{
    memset(books->places, 0, books->room * sizeof *books->places);
    free(books->bits);
    books->bits = NULL;
    books->words = 0;
    books->bit_count = 0;
    books->count = 0;
}

/* Where the account's number stands, or the free place where it would. */
static size_t place_of(const struct books *books, uint64_t hash)
{
    size_t at = hash & (books->room - 1);

    while (books->places[at] != 0 && books->accounts[books->places[at] - 1].hash != hash) {
        at = (at + 1) & (books->room - 1);
    }
    return at;
}

static void grow_places(struct books *books)
{
    free(books->places);
    books->room *= 2;
    books->places = allocate(books->room, sizeof *books->places);
    for (size_t i = 0; i < books->count; i++) {
        books->places[place_of(books, books->accounts[i].hash)] = (uint32_t)i + 1;
    }
}

static struct account *new_account(struct books *books, uint64_t hash)
{
    if (books->count == books->cap) {
        books->cap = books->cap == 0 ? ROOM_FIRST : 2 * books->cap;
        books->accounts = realloc(books->accounts, books->cap * sizeof *books->accounts);
        if (books->accounts == NULL || books->cap > UINT32_MAX) {
            abort();
        }
    }
    books->places[place_of(books, hash)] = (uint32_t)books->count + 1;
    books->accounts[books->count] = (struct account){.hash = hash, .first = books->bit_count};
    return &books->accounts[books->count++];
}

static void new_bits(struct books *books, uint64_t count)
{
    books->bit_count += count;
    while (books->bit_count > books->words * 64) {
        size_t words = books->words == 0 ? ROOM_FIRST : 2 * books->words;
        books->bits = realloc(books->bits, words * sizeof *books->bits);
        if (books->bits == NULL) {
            abort();
        }
        memset(books->bits + books->words, 0, (words - books->words) * sizeof *books->bits);
        books->words = words;
    }
}

/* The upper half of a number that has 64 bits, in two's complement. */
static uint32_t sign_of(int64_t number)
{
    return number < 0 ? UINT32_MAX : 0;
}

void books_add_account(struct books *books, const char *id, size_t len, int64_t balance,
                       int64_t version)
{
    uint64_t hash = siphash13(id, len, books->key);
    size_t at = place_of(books, hash);

    if (books->places[at] != 0) {
        books->accounts[books->places[at] - 1].wrong = true;
        return;
    }
    struct account *account = new_account(books, hash);
    account->low = (uint64_t)balance;
    account->high = sign_of(balance);
    if (version < 1 || (uint64_t)version > BITS_MAX - books->bit_count) {
        account->wrong = true;
    } else {
        new_bits(books, (uint64_t)version);
    }
    if (books->count > books->room / 2) {
        grow_places(books);
    }
}

static uint64_t versions_of(const struct books *books, const struct account *account)
{
    const struct account *end = books->accounts + books->count - 1;

    return (account < end ? account[1].first : books->bit_count) - account->first;
}

enum books_entry_end books_add_entry(struct books *books, const char *id, size_t len,
                                     int64_t version, int64_t amount)
{
    uint32_t number = books->places[place_of(books, siphash13(id, len, books->key))];

    if (number == 0) {
        return BOOKS_NO_ROW;
    }
    struct account *account = &books->accounts[number - 1];
    if (version < 1) {
        account->wrong = true;
        return BOOKS_TAKEN;
    }
    if ((uint64_t)version > versions_of(books, account)) {
        return BOOKS_LATER;
    }
    uint64_t at = account->first + (uint64_t)version - 1, bit = UINT64_C(1) << at % 64;
    account->wrong |= (books->bits[at / 64] & bit) != 0;
    books->bits[at / 64] |= bit;
    account->high -= sign_of(amount) + (account->low < (uint64_t)amount);
    account->low -= (uint64_t)amount;
    return BOOKS_TAKEN;
}

static bool has_gap(const struct books *books, const struct account *account)
{
    uint64_t end = account->first + versions_of(books, account);

    for (uint64_t at = account->first; at < end; at++) {
        if (at % 64 == 0 && end - at >= 64 && books->bits[at / 64] == UINT64_MAX) {
            at += 63;
        } else if ((books->bits[at / 64] >> at % 64 & 1) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_wrong(const struct books *books, const struct account *account)
{
    return account->wrong || account->low != 0 || account->high != 0 || has_gap(books, account);
}

size_t books_count_wrong(const struct books *books)
{
    size_t wrong = 0;

    for (size_t i = 0; i < books->count; i++) {
        wrong += is_wrong(books, &books->accounts[i]);
    }
    return wrong;
}

bool books_is_wrong(const struct books *books, const char *id, size_t len)
{
    uint32_t number = books->places[place_of(books, siphash13(id, len, books->key))];

    return number != 0 && is_wrong(books, &books->accounts[number - 1]);
}
