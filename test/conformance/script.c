/* The interpreter; see the header. One request at a time: each line waits for its answer. */
#include "script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "script_words.h"

#define WORDS_MAX 64
#define ITEMS_MAX 16

/* What cannot be compared: numbers that each store draws for itself. */
struct known_lease {
    char daemon[64];
    uint64_t born, born_before;
};

static struct {
    const struct script_servers *servers;
    bool answered;
    uint64_t token;
    struct cache_fill_entry fills[ITEMS_MAX]; /* the token's */
    struct script_numbers numbers;
    struct store_posting postings[ITEMS_MAX];
    size_t posting_count;
    struct cache_lookup lookups[ITEMS_MAX];
    struct account_id ids[ITEMS_MAX];
    size_t id_count;
    int64_t commit;
    struct known_lease leases[STORE_LEASES_MAX];
    size_t lease_count;
    uint64_t transaction;
    struct store_expelling step;
    bool wrong;
} self;

static const char *const store_words[] = {"OK",       "UNSENT",  "IN_DOUBT",  "TRANSIENT",
                                          "READONLY", "REFUSED", "LOCAL_ONLY"};
static const char *const cache_words[] = {"OK", "REFUSED", "MOVED", "FAILED", "LOST"};
static const char *const era_words[] = {"open", "closing", "drained"};

/* --- what is printed --------------------------------------------------------------------------*/

static void print_state(const char *lead, const struct account_entry *entry)
{
    if (entry->state.version > 0) {
        printf("%s %.*s version %" PRIu64 " balance %" PRId64 " held %" PRId64 " floor %" PRId64
               " %s",
               lead, entry->id.len, entry->id.bytes, entry->state.version, entry->state.balance,
               entry->state.held, entry->state.floor, account_status_name(entry->state.status));
    }
}

static int by_id_and_version(const void *a, const void *b)
{
    const struct account_entry *x = a, *y = b;
    int order = memcmp(x->id.bytes, y->id.bytes, sizeof x->id.bytes);
    return order != 0                             ? order
           : x->state.version < y->state.version  ? -1
           : x->state.version == y->state.version ? 0
                                                  : 1;
}

/* The newest state of each account, in order: all that a publish makes of them. */
static void print_states(const struct account_entry *given, size_t count)
{
    struct account_entry *entries = malloc((count + 1) * sizeof *entries);
    if (entries == NULL) {
        abort();
    }
    for (size_t i = 0; i < count; i++) {
        memset(&entries[i], 0, sizeof entries[i]);
        memcpy(entries[i].id.bytes, given[i].id.bytes, given[i].id.len);
        entries[i].id.len = given[i].id.len;
        entries[i].state = given[i].state;
    }
    qsort(entries, count, sizeof *entries, by_id_and_version);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !account_id_equal(&entries[i].id, &entries[i + 1].id)) {
            print_state("  state", &entries[i]);
            putchar('\n');
        }
    }
    free(entries);
}

/* What the result's number is of. */
static void print_number(enum mutation_kind kind, uint64_t id)
{
    switch (kind) {
    case MUTATION_HOLD:
        printf(" hold %zu", script_number(&self.numbers.holds, id));
        break;
    case MUTATION_CHARGE:
        printf(" charge %zu", script_number(&self.numbers.charges, id));
        break;
    case MUTATION_EXPIRE:
        printf(" accounts %" PRIu64, id);
        break;
    default:
        printf(" transfer %zu", script_number(&self.numbers.transfers, id));
    }
}

static void print_era(const struct store_era *era)
{
    printf(" era %" PRIu64 " %s nonce=%s run_id=%s replid=%s%s\n", era->id, era_words[era->state],
           era->nonce, era->run_id, era->replid, era->switched_off ? " off" : "");
}

/* --- answers ----------------------------------------------------------------------------------*/

static void on_posted(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_posted *posted)
{
    (void)arg, (void)error;
    printf("  %s\n", store_words[status]);
    for (size_t i = 0; status == STORE_OK && i < self.posting_count; i++) {
        const struct mutation_result *result = &self.postings[i].result;
        printf("  %s%s%s", outcome_word(result->outcome), result->duplicate ? " duplicate" : "",
               result->changed ? " changed" : "");
        if (result->transfer != 0) {
            print_number(self.postings[i].mutation.kind, result->transfer);
        }
        print_state(",", &result->account);
        print_state(", to", &result->to);
        putchar('\n');
    }
    if (status == STORE_OK) {
        print_states(posted->states, posted->count);
    }
    self.answered = true;
}

static void on_accounts(void *arg, enum store_status status, const struct store_error *error,
                        const struct store_accounts *reply)
{
    (void)arg, (void)error;
    printf("  %s", store_words[status]);
    if (status == STORE_OK) {
        printf(" era %" PRIu64 " %s\n", reply->era.id, era_words[reply->era.state]);
        print_states(reply->entries, reply->count);
    }
    self.answered = true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct store_lease *)a)->daemon, ((const struct store_lease *)b)->daemon);
}

static struct known_lease *known_lease(const char *daemon)
{
    struct known_lease *known = self.leases;
    while (known < self.leases + self.lease_count && strcmp(known->daemon, daemon) != 0) {
        known++;
    }
    if (known == self.leases + self.lease_count) {
        assert(self.lease_count < STORE_LEASES_MAX);
        self.lease_count++;
        snprintf(known->daemon, sizeof known->daemon, "%s", daemon);
    }
    return known;
}

static void note_lease(const struct store_lease *lease)
{
    struct known_lease *known = known_lease(lease->daemon);
    if (known->born != lease->born) {
        known->born_before = known->born;
        known->born = lease->born;
    }
}

static void on_leases(void *arg, enum store_status status, const struct store_error *error,
                      const struct store_leases *reply)
{
    struct store_lease leases[STORE_LEASES_MAX];
    (void)arg, (void)error;
    printf("  %s", store_words[status]);
    if (status == STORE_OK) {
        print_era(&reply->era);
        printf("  departed %" PRIu64 "\n", reply->departed);
        self.transaction = reply->transaction;
        memcpy(leases, reply->leases, reply->count * sizeof *leases);
        qsort(leases, reply->count, sizeof *leases, by_name);
        for (size_t i = 0; i < reply->count; i++) {
            note_lease(&leases[i]);
            printf("  lease %s renewals %" PRIu64 " seen %" PRIu64 " run_id=%s replid=%s%s\n",
                   leases[i].daemon, leases[i].renewals, leases[i].seen, leases[i].run_id,
                   leases[i].replid, leases[i].fenced ? " fenced" : "");
        }
    }
    self.answered = true;
}

static void on_era(void *arg, enum store_status status, const struct store_error *error,
                   const struct store_era *era)
{
    (void)arg, (void)error;
    printf("  %s", store_words[status]);
    if (status == STORE_OK) {
        print_era(era);
    }
    self.answered = true;
}

static void on_done(void *arg, enum store_status status, const struct store_error *error)
{
    (void)arg, (void)error;
    printf("  %s\n", store_words[status]);
    self.answered = true;
}

static void on_step(void *arg, enum store_status status, const struct store_error *error,
                    const struct store_expelling *step)
{
    (void)arg, (void)error;
    self.step = status == STORE_OK ? *step : (struct store_expelling){.another = true};
    if (self.step.another || self.step.next == 0) {
        printf("  %s %s\n", store_words[status], self.step.another ? "another" : "gone");
    }
    self.answered = true;
}

static void on_announced(void *arg, enum store_status status, const struct store_error *error,
                         const struct store_announced *reply)
{
    (void)arg, (void)error;
    printf("  %s", store_words[status]);
    for (size_t i = 0; status == STORE_OK && i < reply->count; i++) {
        printf(" %.*s=%" PRIu64, (int)reply->entries[i].id.len, reply->entries[i].id.bytes,
               reply->entries[i].state.version);
    }
    printf("\n");
    self.answered = true;
}

static void on_written(void *arg, enum cache_status status)
{
    size_t *tokens = arg;
    printf("  %s", cache_words[status]);
    for (size_t i = 0; tokens != NULL && status == CACHE_OK && i < *tokens; i++) {
        printf(" %d", self.fills[i].token_held);
    }
    putchar('\n');
    self.answered = true;
}

static void on_read(void *arg, enum cache_status status, const char *stamp)
{
    static const char *const kinds[] = {[CACHE_STATE] = "state",
                                        [CACHE_NEGATIVE] = "negative",
                                        [CACHE_ABSENT] = "absent",
                                        [CACHE_TOKEN] = "token",
                                        [CACHE_POISON] = "poison"};
    size_t *count = arg;
    printf("  %s stamp=%s\n", cache_words[status], stamp);
    for (size_t i = 0; status == CACHE_OK && i < *count; i++) {
        const struct cache_value *value = &self.lookups[i].value;
        printf("  %.*s %s", self.ids[i].len, self.ids[i].bytes, kinds[value->kind]);
        if (value->kind == CACHE_STATE || value->kind == CACHE_NEGATIVE) {
            printf(" era %" PRIu64 " version %" PRIu64 " balance %" PRId64, value->era,
                   value->state.version, value->state.balance);
        }
        putchar('\n');
    }
    self.answered = true;
}

static void await(void)
{
    while (!self.answered) {
        self.servers->turn();
    }
    self.answered = false;
}

/* --- requests ---------------------------------------------------------------------------------*/

static void set_id(struct account_id *id, const char *word)
{
    self.wrong |= !account_id_parse(id, word, strlen(word));
}

static void set_ids(char **words, int count)
{
    self.id_count = 0;
    for (int i = 0; i < count && i < ITEMS_MAX; i++) {
        set_id(&self.ids[self.id_count++], words[i]);
    }
}

/* ID=VERSION:BALANCE */
static void set_entry(struct account_entry *entry, char *word)
{
    char *equals = strchr(word, '='), *colon = strchr(word, ':');
    memset(entry, 0, sizeof *entry);
    if (equals == NULL || colon == NULL) {
        self.wrong = true;
        return;
    }
    *equals = '\0';
    set_id(&entry->id, word);
    entry->state.version = strtoull(equals + 1, NULL, 10);
    entry->state.balance = strtoll(colon + 1, NULL, 10);
    self.wrong |= !asset_parse(&entry->state.asset, "USD/2", 5);
}

static void post(char **words, int count)
{
    struct store_posting *list[ITEMS_MAX];
    int first = 0;
    self.posting_count = 0;
    for (int i = 0; i <= count && self.posting_count < ITEMS_MAX; i++) {
        if (i == count || strcmp(words[i], ";") == 0) {
            struct store_posting *posting = &self.postings[self.posting_count];
            memset(posting, 0, sizeof *posting);
            self.wrong |=
                !script_mutation(&posting->mutation, &self.numbers, words + first, i - first);
            list[self.posting_count++] = posting;
            first = i + 1;
        }
    }
    if (!self.wrong) {
        store_post(self.servers->store, list, self.posting_count, ++self.commit, 0, on_posted,
                   NULL);
        await();
    }
    for (size_t i = 0; i < self.posting_count; i++) {
        mutation_clear(&self.postings[i].mutation);
    }
}

static void read_cache(char **words, int count)
{
    struct cache_lookup *list[ITEMS_MAX];
    set_ids(words, count);
    for (size_t i = 0; i < self.id_count; i++) {
        self.lookups[i].id = &self.ids[i];
        list[i] = &self.lookups[i];
    }
    cache_read(self.servers->cache, list, self.id_count, on_read, &self.id_count);
    await();
}

static void write_cache(const char *verb, char **words, int count)
{
    const char *stamp = words[0];
    uint64_t era = strtoull(stamp, NULL, 10);
    struct cache_link *cache = self.servers->cache;
    struct account_entry entries[ITEMS_MAX];
    size_t entry_count = (size_t)count - 1;
    for (size_t i = 0; i < entry_count; i++) {
        char *word = words[i + 1];
        if (strcmp(verb, "token") == 0) {
            memset(&self.fills[i], 0, sizeof self.fills[i]);
            self.fills[i].force = word[0] == '!';
            set_id(&self.fills[i].entry.id, word + self.fills[i].force);
        } else {
            set_entry(&entries[i], word);
            self.fills[i].entry = entries[i];
        }
    }
    if (strcmp(verb, "token") == 0) {
        cache_token(cache, stamp, era, self.fills, entry_count, &self.token, on_written,
                    &entry_count);
    } else if (strcmp(verb, "fill") == 0) {
        cache_fill(cache, stamp, era, self.token, self.fills, entry_count, on_written, NULL);
    } else {
        cache_publish(cache, stamp, era, entries, entry_count, on_written, NULL);
    }
    await();
}

static void ask_accounts(char **words, int count)
{
    const struct account_id *list[ITEMS_MAX];
    set_ids(words, count);
    for (size_t i = 0; i < self.id_count; i++) {
        list[i] = &self.ids[i];
    }
    store_read_accounts(self.servers->store, list, self.id_count, on_accounts, NULL);
    await();
}

static void expel(char **words, bool before)
{
    struct known_lease *known = known_lease(words[0]);
    struct store_lease lease = {.born = before ? known->born_before : known->born,
                                .renewals = strtoull(words[1], NULL, 10)};
    snprintf(lease.daemon, sizeof lease.daemon, "%s", words[0]);
    self.step = (struct store_expelling){.next = 0};
    do {
        store_lease_expel(self.servers->store, &lease, self.step.next, on_step, NULL);
        await();
    } while (!self.step.another && self.step.next > 0);
}

static bool ask_trust(const char *verb, char **words, int count)
{
    struct store_link *store = self.servers->store;
    uint64_t number = count > 0 ? strtoull(words[count - 1], NULL, 10) : 0;
    if (strcmp(verb, "renew") == 0 && count >= 4) {
        store_lease_renew(store, words[0], words[0], strtoull(words[1], NULL, 10), words[2],
                          words[3], count > 4 ? self.transaction : 0, on_leases, NULL);
    } else if (strcmp(verb, "era") == 0) {
        store_era_read(store, on_era, NULL);
    } else if (strcmp(verb, "close") == 0) {
        store_era_close(store, number, on_era, NULL);
    } else if (strcmp(verb, "drain") == 0) {
        store_era_drain(store, number, on_era, NULL);
    } else if (strcmp(verb, "open") == 0 && count == 5) {
        struct store_era next = {.id = strtoull(words[1], NULL, 10)};
        snprintf(next.nonce, sizeof next.nonce, "%s", words[2]);
        snprintf(next.run_id, sizeof next.run_id, "%s", words[3]);
        snprintf(next.replid, sizeof next.replid, "%s", words[4]);
        store_era_open(store, strtoull(words[0], NULL, 10), &next, on_era, NULL);
    } else if (strcmp(verb, "drop") == 0 && count == 1) {
        store_lease_drop(store, words[0], on_done, NULL);
    } else if (strcmp(verb, "expel") == 0 && count >= 2) {
        expel(words, count > 2);
        return true;
    } else if (strcmp(verb, "announced") == 0) {
        static const struct account_id first;
        store_read_announced(store, &first, ITEMS_MAX, on_announced, NULL);
    } else {
        return false;
    }
    await();
    return true;
}

static void run_line(char **words, int count)
{
    const char *verb = words[0];
    size_t none = 0;
    if (strcmp(verb, "post") == 0 && count > 1) {
        post(words + 1, count - 1);
    } else if (strcmp(verb, "wait") == 0 && count == 2) {
        self.servers->wait_ms(atoi(words[1]));
    } else if (strcmp(verb, "accounts") == 0) {
        ask_accounts(words + 1, count - 1);
    } else if (strcmp(verb, "read") == 0) {
        read_cache(words + 1, count - 1);
    } else if (strcmp(verb, "stamp") == 0) {
        cache_stamp_read(self.servers->cache, on_read, &none);
        await();
    } else if (strcmp(verb, "raise") == 0 && count == 2) {
        cache_stamp_raise(self.servers->cache, words[1], on_written, NULL);
        await();
    } else if ((strcmp(verb, "publish") == 0 || strcmp(verb, "token") == 0 ||
                strcmp(verb, "fill") == 0) &&
               count > 2 && count - 2 <= ITEMS_MAX) {
        write_cache(verb, words + 1, count - 1);
    } else if (!ask_trust(verb, words + 1, count - 1)) {
        self.wrong = true;
    }
}

int script_run(const char *path, const struct script_servers *servers)
{
    char line[1024];
    FILE *file = fopen(path, "r");
    self.servers = servers;
    while (file != NULL && !self.wrong && fgets(line, sizeof line, file) != NULL) {
        char *words[WORDS_MAX], *rest = line;
        int count = 0;
        line[strcspn(line, "\n")] = '\0';
        puts(line);
        for (char *word; (word = strsep(&rest, " ")) != NULL && count < WORDS_MAX;) {
            words[count] = word;
            count += word[0] != '\0';
        }
        if (count > 0 && words[0][0] != '#') {
            run_line(words, count);
        }
    }
    if (file == NULL || self.wrong) {
        fprintf(stderr, "conformance: %s: %s\n", path,
                file == NULL ? "no such file" : "the last line printed is none of a script");
        return 1;
    }
    fclose(file);
    return 0;
}
