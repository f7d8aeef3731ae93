/*
 * libFuzzer: any bytes, offered whole and in pieces whose sizes the input's first byte chooses,
 * must give the same commands, and never make the parser look beyond them. To build and run it:
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -std=gnu17 -D_GNU_SOURCE -Iinclude \
 *       test/fuzz/fuzz_resp.c src/wire/resp_parse.c src/base/buffer.c src/base/siphash.c \
 *       -o build/fuzz_resp
 *   mkdir -p build/corpus && build/fuzz_resp -max_total_time=60 build/corpus test/fuzz/corpus/resp
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "wire/resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came of the bytes, as one number, and where it ended. */
struct story {
    uint64_t hash;
    size_t commands;
    enum resp_result last;
};

static void story_add(struct story *story, const void *bytes, size_t len)
{
    uint8_t key[SIPHASH_KEY_BYTES] = {0};

    memcpy(key, &story->hash, sizeof story->hash);
    story->hash = siphash24(bytes, len, key);
}

/* Offers the bytes in memory of their own, so that a sanitizer sees one byte too many. */
static enum resp_result offer(struct resp_parser *parser, struct resp_args *args, struct buffer *in,
                              struct story *story)
{
    char *copy = malloc(in->len > 0 ? in->len : 1);
    size_t consumed;

    memcpy(copy, in->data, in->len);

    enum resp_result result = resp_parse(parser, copy, in->len, args, &consumed);

    if (result == RESP_COMMAND) {
        assert(args->count > 0 && consumed > 0);
        story->commands++;
        for (size_t i = 0; i < args->count; i++) {
            story_add(story, args->items[i].data, args->items[i].len);
        }
    }
    free(copy);
    assert(consumed <= in->len);
    buffer_consume(in, consumed);
    return result;
}

static struct story tell(const uint8_t *data, size_t size, size_t piece)
{
    const struct resp_limits limits = {.args = 64, .bulk = 512};
    struct story story = {0};
    struct resp_args args = {0};
    struct resp_parser parser;
    struct buffer in = BUFFER_EMPTY;

    resp_parser_init(&parser, &limits);
    (void)buffer_reserve(&in, 1);
    story.last = RESP_NEED_MORE;
    for (size_t at = 0; at < size && story.last != RESP_PROTOCOL_ERROR; at += piece) {
        buffer_append(&in, data + at, size - at < piece ? size - at : piece);
        do {
            story.last = offer(&parser, &args, &in, &story);
        } while (story.last == RESP_COMMAND);
    }
    if (story.last == RESP_PROTOCOL_ERROR) {
        story_add(&story, parser.error, strlen(parser.error));
    }
    buffer_free(&in);
    resp_args_free(&args);
    return story;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }

    struct story whole = tell(data + 1, size - 1, size);
    struct story split = tell(data + 1, size - 1, 1 + data[0] % 16);

    assert(whole.hash == split.hash);
    assert(whole.commands == split.commands);
    assert(whole.last == split.last);
    return 0;
}
