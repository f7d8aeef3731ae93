/*
 * hiredis' synchronous API against a daemon: hiredis_sync PORT SOCKET.
 *
 * Each check names its line when it fails, and ends the program.
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define PIPELINE 1000

static const struct timeval patience = {.tv_sec = 20};

static redisContext *check_connected(redisContext *context)
{
    CHECK(context != NULL);
    if (context->err != 0) {
        fprintf(stderr, "connect: %s\n", context->errstr);
        exit(1);
    }
    CHECK(redisSetTimeout(context, patience) == REDIS_OK);
    return context;
}

static bool is_text(const redisReply *reply, int type, const char *text)
{
    return reply != NULL && reply->type == type && reply->len == strlen(text) &&
           memcmp(reply->str, text, reply->len) == 0;
}

/* A field of a map, which RESP2 shows as a flat array. */
static const redisReply *field(const redisReply *reply, const char *name)
{
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        if (is_text(reply->element[i], REDIS_REPLY_STRING, name)) {
            return reply->element[i + 1];
        }
    }
    return NULL;
}

static bool has_text(const redisReply *reply, const char *name, const char *text)
{
    return is_text(field(reply, name), REDIS_REPLY_STRING, text);
}

static bool has_flag(const redisReply *reply, const char *name, long long value)
{
    const redisReply *found = field(reply, name);

    return found != NULL && found->type == REDIS_REPLY_INTEGER && found->integer == value;
}

static void test_one_by_one(redisContext *context)
{
    redisReply *reply = redisCommand(context, "PING");
    CHECK(is_text(reply, REDIS_REPLY_STATUS, "PONG"));
    freeReplyObject(reply);

    reply = redisCommand(context, "OPEN %s %s FLOOR %lld", "hiredis", "USD/2", -5LL);
    CHECK(has_text(reply, "floor", "-5") && has_flag(reply, "created", 1));
    freeReplyObject(reply);

    const char memo[] = {'a', '\r', '\n', ' ', 'b'};
    reply = redisCommand(context, "CREDIT hiredis %" PRId64 " KEY %s MEMO %b", INT64_C(1250),
                         "hiredis-1", memo, sizeof memo);
    CHECK(has_text(reply, "balance", "1250") && has_flag(reply, "duplicate", 0));
    freeReplyObject(reply);

    reply = redisCommand(context, "GET %b", "hiredis", (size_t)7);
    CHECK(is_text(reply, REDIS_REPLY_STRING, "1250"));
    freeReplyObject(reply);

    const char *words[] = {"HISTORY", "hiredis", "COUNT", "1"};
    reply = redisCommandArgv(context, 4, words, NULL);
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1);
    const redisReply *shown = field(reply->element[0], "memo");
    CHECK(shown->len == sizeof memo && memcmp(shown->str, memo, sizeof memo) == 0);
    freeReplyObject(reply);

    reply = redisCommand(context, "MGET hiredis hiredis-none");
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    CHECK(is_text(reply->element[0], REDIS_REPLY_STRING, "1250"));
    CHECK(reply->element[1]->type == REDIS_REPLY_NIL);
    freeReplyObject(reply);

    reply = redisCommand(context, "DEBIT hiredis 1256 KEY hiredis-2");
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ERROR);
    CHECK(strncmp(reply->str, "INSUFFICIENT ", 13) == 0);
    freeReplyObject(reply);
}

static void test_pipeline(redisContext *context)
{
    redisReply *reply = redisCommand(context, "OPEN hiredis-pipe USD/2");
    CHECK(reply != NULL && reply->type == REDIS_REPLY_ARRAY);
    freeReplyObject(reply);
    for (int i = 1; i <= PIPELINE; i++) {
        CHECK(redisAppendCommand(context, "CREDIT hiredis-pipe 2 KEY hiredis-pipe-%d", i) ==
              REDIS_OK);
        CHECK(redisAppendCommand(context, "GET hiredis-pipe") == REDIS_OK);
    }
    for (int i = 1; i <= PIPELINE; i++) {
        char balance[16];
        void *answer;
        snprintf(balance, sizeof balance, "%d", 2 * i);
        CHECK(redisGetReply(context, &answer) == REDIS_OK);
        CHECK(has_text(answer, "balance", balance));
        freeReplyObject(answer);
        CHECK(redisGetReply(context, &answer) == REDIS_OK);
        CHECK(is_text(answer, REDIS_REPLY_STRING, balance));
        freeReplyObject(answer);
    }
}

static void test_reconnect(redisContext *context)
{
    redisReply *reply = redisCommand(context, "QUIT");
    CHECK(is_text(reply, REDIS_REPLY_STATUS, "OK"));
    freeReplyObject(reply);
    /* Which of the two: whether the daemon has closed its end by then. */
    CHECK(redisCommand(context, "PING") == NULL &&
          (context->err == REDIS_ERR_EOF || context->err == REDIS_ERR_IO));
    CHECK(redisReconnect(context) == REDIS_OK);
    reply = redisCommand(context, "GET hiredis");
    CHECK(is_text(reply, REDIS_REPLY_STRING, "1250"));
    freeReplyObject(reply);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    redisContext *tcp =
        check_connected(redisConnectWithTimeout("127.0.0.1", atoi(argv[1]), patience));
    redisContext *local = check_connected(redisConnectUnixWithTimeout(argv[2], patience));

    test_one_by_one(tcp);
    test_pipeline(local);
    test_reconnect(tcp);
    redisFree(local);
    redisFree(tcp);
    return 0;
}
