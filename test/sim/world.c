/* Time, the queue of events (a heap), chance, and memory; see the header. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "process.h"

#define ARENA_BLOCK (256 * 1024)

struct event {
    int64_t at;
    uint64_t number;
    struct process *owner;
    event_fn *run;
    void *object;
    uint64_t arg;
};

struct block {
    struct block *next;
    size_t used, size;
    max_align_t bytes[];
};

struct world world;

static struct {
    struct event *heap;
    size_t count, room;
    uint64_t numbers;
    uint64_t chance[2];
    struct block *blocks;
} self;

/* --- events -----------------------------------------------------------------------------------*/

static bool before(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->number < b->number);
}

static void push(const struct event *event)
{
    if (self.count == self.room) {
        self.room = self.room == 0 ? 1024 : 2 * self.room;
        self.heap = realloc(self.heap, self.room * sizeof *self.heap);
        if (self.heap == NULL) {
            abort();
        }
    }
    size_t at = self.count++;
    while (at > 0 && before(event, &self.heap[(at - 1) / 4])) {
        self.heap[at] = self.heap[(at - 1) / 4];
        at = (at - 1) / 4;
    }
    self.heap[at] = *event;
}

static struct event pop(void)
{
    struct event first = self.heap[0];
    struct event last = self.heap[--self.count];
    size_t at = 0;
    for (;;) {
        size_t child = 4 * at + 1, least = child;
        if (child >= self.count) {
            break;
        }
        for (size_t i = child + 1; i < child + 4 && i < self.count; i++) {
            least = before(&self.heap[i], &self.heap[least]) ? i : least;
        }
        if (!before(&self.heap[least], &last)) {
            break;
        }
        self.heap[at] = self.heap[least];
        at = least;
    }
    self.heap[at] = last;
    return first;
}

int64_t world_now(void)
{
    return world.now + (world.running != NULL ? world.running->ahead_us : 0);
}

void world_at(int64_t at_us, struct process *owner, event_fn *run, void *object, uint64_t arg)
{
    push(&(struct event){.at = at_us,
                         .number = self.numbers++,
                         .owner = owner,
                         .run = run,
                         .object = object,
                         .arg = arg});
}

void world_after(int64_t delay_us, struct process *owner, event_fn *run, void *object, uint64_t arg)
{
    world_at(world_now() + delay_us, owner, run, object, arg);
}

void world_run(int64_t until_us)
{
    while (self.count > 0 && self.heap[0].at <= until_us && !world.failed) {
        struct event event = pop();
        world.now = event.at;
        world.steps++;
        if (event.owner == NULL) {
            event.run(event.object, event.arg);
        } else {
            process_run(event.owner, event.run, event.object, event.arg);
        }
    }
    if (!world.failed) {
        world.now = until_us;
    }
}

void world_begin(uint64_t seed)
{
    uint64_t faults_before[FAULT_COUNT];
    memcpy(faults_before, world.faults, sizeof faults_before);
    world = (struct world){.seed = seed, .operations = world.operations};
    memcpy(world.faults, faults_before, sizeof faults_before);
    self.count = 0;
    self.numbers = 0;
    self.chance[0] = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    self.chance[1] = seed ^ UINT64_C(0xd1b54a32d192ed03);
    for (int i = 0; i < 8; i++) {
        (void)sim_random();
    }
}

void world_end(void)
{
    while (self.blocks != NULL) {
        struct block *block = self.blocks;
        self.blocks = block->next;
        free(block);
    }
    self.count = 0;
}

void *world_memory(size_t size)
{
    const size_t align = _Alignof(max_align_t);
    size = (size + align - 1) / align * align;
    if (self.blocks == NULL || self.blocks->used + size > self.blocks->size) {
        size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
        struct block *block = malloc(sizeof *block + room);
        if (block == NULL) {
            abort();
        }
        block->next = self.blocks;
        block->used = 0;
        block->size = room;
        self.blocks = block;
    }
    char *bytes = (char *)self.blocks->bytes + self.blocks->used;
    self.blocks->used += size;
    return memset(bytes, 0, size);
}

/* --- chance -----------------------------------------------------------------------------------*/

/* xoroshiro128+ by Blackman and Vigna. */
uint64_t sim_random(void)
{
    uint64_t a = self.chance[0], b = self.chance[1], sum = a + b;
    b ^= a;
    self.chance[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
    self.chance[1] = (b << 37) | (b >> 27);
    return sum;
}

uint32_t sim_below(uint32_t limit)
{
    assert(limit > 0);
    return (uint32_t)(((sim_random() >> 32) * limit) >> 32);
}

int64_t sim_between(int64_t low, int64_t high)
{
    assert(low <= high && high - low < INT64_C(0xffffffff));
    return low + sim_below((uint32_t)(high - low + 1));
}

bool sim_chance(uint32_t parts_per_million)
{
    return parts_per_million > 0 && sim_below(1000000) < parts_per_million;
}

int64_t sim_delay(int64_t low)
{
    uint64_t dice = sim_random();
    int64_t delay = low + (int64_t)((dice & 0xff) * (uint64_t)low >> 8);
    if (((dice >> 8) & 63) == 0) {
        delay *= ((dice >> 14) & 15) == 0 ? 100 : 10;
    }
    return delay;
}

void fault_count(enum fault fault)
{
    world.faults[fault]++;
}

bool fault_strikes(enum fault fault)
{
    if (!world.storm || !sim_chance(world.rate[fault])) {
        return false;
    }
    fault_count(fault);
    return true;
}

/* --- accounts ---------------------------------------------------------------------------------*/

void account_name(struct account_id *id, int account)
{
    assert(account >= 0 && account < ACCOUNTS_MAX);
    *id = (struct account_id){.len = 3};
    id->bytes[0] = 'a';
    id->bytes[1] = (char)('0' + account / 10);
    id->bytes[2] = (char)('0' + account % 10);
}

int any_account(void)
{
    uint32_t count = (uint32_t)(world.account_count - world.quiet_accounts);
    return (int)sim_below(world.skewed ? 1 + sim_below(count) : count);
}

int account_of(const struct account_id *id)
{
    if (id->bytes[0] == '@') {
        return -1;
    }
    int account = (id->bytes[1] - '0') * 10 + id->bytes[2] - '0';
    assert(id->len == 3 && account >= 0 && account < world.account_count);
    return account;
}
