/* The register of connected clients: a list under a lock, with cards that their sessions own. */
#include "server/clients.h"

#include <pthread.h>
#include <string.h>

#include "server/command.h"

static struct {
    pthread_mutex_t lock;
    struct list all; /* in the order of their ids */
    uint64_t last_id;
    _Atomic size_t count;
} clients = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .all = {.next = &clients.all, .prev = &clients.all},
};

static void lock(void)
{
    int failed = pthread_mutex_lock(&clients.lock);
    assert(failed == 0);
}

static void unlock(void)
{
    int failed = pthread_mutex_unlock(&clients.lock);
    assert(failed == 0);
}

void clients_register(struct client *client)
{
    lock();
    client->id = ++clients.last_id;
    list_init(&client->link);
    list_push_back(&clients.all, &client->link);
    clients.count++;
    unlock();
}

void clients_remove(struct client *client)
{
    lock();
    list_unlink(&client->link);
    clients.count--;
    unlock();
}

size_t clients_count(void)
{
    return atomic_load_explicit(&clients.count, memory_order_relaxed);
}

void clients_set_text(char *field, size_t room, const char *text, size_t len)
{
    if (len >= room) {
        len = room - 1;
    }
    lock();
    memcpy(field, text, len);
    field[len] = '\0';
    unlock();
}

bool clients_name_ok(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '!' || text[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool same(const char *text, const char *wanted, size_t wanted_len)
{
    return wanted == NULL || (strlen(text) == wanted_len && memcmp(text, wanted, wanted_len) == 0);
}

static bool is_meant(const struct client *client, const struct client_filter *filter)
{
    return !filter->nobody && (filter->id == 0 || client->id == filter->id) &&
           client->id != filter->except &&
           same(client->address, filter->address, filter->address_len) &&
           same(client->here, filter->here, filter->here_len) &&
           same(client->user, filter->user, filter->user_len);
}

/* The fields, and their order, of Redis 7.2; what has no meaning here shows Redis' neutral value.*/
static void describe(const struct client *client, int64_t now_us, struct buffer *out)
{
    const struct command *command = atomic_load_explicit(&client->command, memory_order_relaxed);
    int64_t active_us = atomic_load_explicit(&client->active_us, memory_order_relaxed);
    int64_t idle_us = now_us > active_us ? now_us - active_us : 0;
    uint64_t input = atomic_load_explicit(&client->input_bytes, memory_order_relaxed);
    uint64_t output = atomic_load_explicit(&client->output_bytes, memory_order_relaxed);

    buffer_printf(out, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=0 ",
                  (unsigned long long)client->id, client->address, client->here, client->fd,
                  client->name, (long long)((now_us - client->created_us) / 1000000),
                  (long long)(idle_us / 1000000), client->local ? "U" : "N");
    buffer_printf(out, "sub=0 psub=0 ssub=0 multi=-1 qbuf=%llu oll=%u omem=%llu events=%s cmd=%s ",
                  (unsigned long long)input,
                  atomic_load_explicit(&client->in_flight, memory_order_relaxed),
                  (unsigned long long)output, output > 0 ? "rw" : "r",
                  command != NULL ? command->name : "NULL");
    buffer_printf(out, "user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s worker=%d\n", client->user,
                  atomic_load_explicit(&client->protocol, memory_order_relaxed), client->library,
                  client->library_version, client->worker);
}

void clients_describe(const struct client *client, int64_t now_us, struct buffer *out)
{
    lock();
    describe(client, now_us, out);
    unlock();
}

void clients_list(const struct client_filter *filter, int64_t now_us, struct buffer *out)
{
    lock();
    LIST_EACH(&clients.all, link) {
        const struct client *client = LIST_ENTRY(link, struct client, link);
        if (is_meant(client, filter)) {
            describe(client, now_us, out);
        }
    }
    unlock();
}

size_t clients_kill(const struct client_filter *filter, uint64_t *workers)
{
    size_t count = 0;

    *workers = 0;
    lock();
    LIST_EACH(&clients.all, link) {
        struct client *client = LIST_ENTRY(link, struct client, link);
        if (is_meant(client, filter)) {
            atomic_store_explicit(&client->killed, true, memory_order_relaxed);
            *workers |= UINT64_C(1) << client->worker;
            count++;
        }
    }
    unlock();
    return count;
}

static_assert(LIMIT_WORKERS_MAX <= 64, "one bit a worker");
