/*
 * Three things hold for every script here.
 *
 * It begins with a write that changes nothing, SETRANGE of zero bytes into the stamp: a demoted
 * master answers -READONLY to a script only at its first write, and a publish that finds all keys
 * absent would otherwise be confirmed by a replica. SETRANGE also asks for memory, as SET does, so
 * the same call tells that memory is full. (After a first write Redis lets a script exceed
 * maxmemory: it must be told here, or never.) Any other error of it is the script's answer.
 *
 * It names every key in KEYS (but for a rebuild, whose keys stand next to their values), reads values
 * with MGET, for which a list at a key is no error but nil, and takes them away with UNLINK, which
 * does not stop Redis where the key holds a gigabyte.
 *
 * It compares versions as Lua numbers, doubles, which are exact below 2^53 (CACHE_VERSION_MAX),
 * and eras as texts: ours have no leading zero.
 */
#include "cache/scripts.h"

#include <stddef.h>

/* Sets `full`. A stamp of a wrong type is left to what follows. */
#define LUA_PROBE                                                                                  \
    "local full = false\n"                                                                         \
    "local probe = redis.pcall('SETRANGE', KEYS[1], 0, '')\n"                                      \
    "if type(probe) == 'table' then\n"                                                             \
    "  full = string.sub(probe.err, 1, 3) == 'OOM'\n"                                              \
    "  if not full and string.sub(probe.err, 1, 9) ~= 'WRONGTYPE' then return probe end\n"         \
    "end\n"

/* Goes on only under the stamp in ARGV[1]; one of a wrong type is another. */
#define LUA_UNDER_STAMP "if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"

/* A line of Lua a line. */
/* clang-format off */

/*
 * T11: while a rebuild runs (its marks stand), every account that is written to, or would have been,
 * is marked. Marks that cannot be set would be missed: then the rebuild loses all of them. */
#define LUA_MARK                                                                                   \
    "if redis.call('EXISTS', KEYS[2]) == 1 then\n"                                                 \
    "  for i = 3, #KEYS do\n"                                                                      \
    "    if type(redis.pcall('ZADD', KEYS[2], 0, KEYS[i])) == 'table' then\n"                      \
    "      redis.call('UNLINK', KEYS[2])\n"                                                        \
    "      break\n"                                                                                \
    "    end\n"                                                                                    \
    "  end\n"                                                                                      \
    "end\n"

/*
 * KEYS stamp marks account...; ARGV stamp era token negative-ms value...
 * Answers 1, or 0 where the stamp is another.
 *
 * T8, token '': a value of this era is overwritten where its version is lower and left where it is
 * not; whatever else stands there (a token, an older era, garbage, a list) is deleted. An absent
 * key is named in the same UNLINK, since MGET does not tell it from a list, and stays absent.
 * T9, a token: where it stands, the value is written whatever its version. A negative value
 * (version 0) expires, and is lower than nothing, so that it is written over the own token only.
 * With memory full, what would have been written is deleted: readers go to the store.
 * MGET has seen every key before the first write, so that an account that is named twice needs
 * `newest`.
 */
static const char script_write[] = LUA_PROBE LUA_UNDER_STAMP LUA_MARK
    "local token, void, newest = ARGV[3], {}, {}\n"
    "for i, now in ipairs(redis.call('MGET', unpack(KEYS, 3))) do\n"
    "  local key, value = KEYS[i + 2], ARGV[i + 4]\n"
    "  local mine = tonumber(string.match(value, '^%d+ (%d+) '))\n"
    "  local write, keep = false, false\n"
    "  if now and token ~= '' and now == token then\n"
    "    write = true\n"
    "  elseif now then\n"
    "    local era, version = string.match(now, '^(%d+) (%d+) ')\n"
    "    if era == ARGV[2] then\n"
    "      write = tonumber(version) < mine\n"
    "      keep = not write\n"
    "    end\n"
    "  end\n"
    "  if write and newest[key] and newest[key] >= mine then\n"
    "    keep = true\n"
    "  elseif write and not full then\n"
    "    newest[key] = mine\n"
    "    if mine == 0 then\n"
    "      redis.call('SET', key, value, 'PX', ARGV[4])\n"
    "    else\n"
    "      redis.call('SET', key, value)\n"
    "    end\n"
    "  elseif not keep then\n"
    "    void[#void + 1] = key\n"
    "  end\n"
    "end\n"
    "if #void > 0 then redis.call('UNLINK', unpack(void)) end\n"
    "return 1\n";

/*
 * KEYS stamp account...; ARGV stamp era token token-ms force (a string, a digit 0 or 1 a key)
 * Answers a string, 1 where the token stands now and 0 where it does not; or the number 0 where
 * the stamp is another.
 *
 * A value of this era and a token of anybody keep their place, unless forced. With memory full
 * nobody gets a token: the fill then acts as a publish, and nothing is added to Redis.
 */
static const char script_token[] = LUA_PROBE LUA_UNDER_STAMP
    "local held = {}\n"
    "for i, now in ipairs(redis.call('MGET', unpack(KEYS, 2))) do\n"
    "  local free = not full\n"
    "  if free and now and string.sub(ARGV[5], i, i) == '0' then\n"
    "    free = string.sub(now, 1, 1) ~= '~' and string.match(now, '^(%d+) %d+ ') ~= ARGV[2]\n"
    "  end\n"
    "  if free then\n"
    "    redis.call('SET', KEYS[i + 1], ARGV[3], 'PX', ARGV[4])\n"
    "  end\n"
    "  held[i] = free and '1' or '0'\n"
    "end\n"
    "return table.concat(held)\n";

/*
 * KEYS stamp; ARGV stamp, "ID:NONCE"
 * Answers 1, or 0 where a stamp of the same or a higher id stands. Garbage, a list and an id that
 * no era can have are overwritten.
 */
static const char script_raise[] = LUA_PROBE
    "local now = redis.pcall('GET', KEYS[1])\n"
    "local id = type(now) == 'string' and string.match(now, '^([1-9]%d*):')\n"
    "if id and tonumber(id) < 9007199254740992\n"
    "    and tonumber(id) >= tonumber(string.match(ARGV[1], '^(%d+):')) then\n"
    "  return 0\n"
    "end\n"
    "redis.call('SET', KEYS[1], ARGV[1])\n"
    "return 1\n";

/*
 * KEYS stamp marks; ARGV stamp nonce marks-ms
 * Answers 1, or 0 where the stamp is another. Whatever stood at the marks' key is gone. The marks are
 * a sorted set, in which all have the same score and so stand in the order of their bytes: whether
 * one of a range of accounts is there is one look. The nonce is a member as no key is one. The long
 * one makes it a skip list from the start: in the list that a small set is in Redis, each question
 * would walk through all of them.
 */
static const char script_marks[] = LUA_PROBE LUA_UNDER_STAMP
    "redis.call('UNLINK', KEYS[2])\n"
    "redis.call('ZADD', KEYS[2], 0, '~' .. ARGV[2], 0, string.rep('~', 100))\n"
    "redis.call('PEXPIRE', KEYS[2], ARGV[3])\n"
    "return 1\n";

/* Whether the marks of a nonce stand. */
#define LUA_MARKS_STAND(nonce)                                                                     \
    "type(redis.pcall('ZSCORE', KEYS[2], '~' .. " nonce ")) == 'string'"

/*
 * KEYS stamp marks gate...; ARGV stamp nonce marks-ms, then the least and the greatest key behind
 * each gate
 * Answers 1, and the gates are gone behind which nobody has written to any account since the marks of
 * that nonce were set; or 0, and all are there, where those marks do not stand, or the stamp is
 * another. What for: see gated.c.
 */
static const char script_gates[] = LUA_UNDER_STAMP
    "if not (" LUA_MARKS_STAND("ARGV[2]") ") then return 0 end\n"
    "redis.call('PEXPIRE', KEYS[2], ARGV[3])\n"
    "local open = {}\n"
    "for i = 3, #KEYS do\n"
    "  local least, greatest = '[' .. ARGV[2 * i - 2], '[' .. ARGV[2 * i - 1]\n"
    "  if redis.call('ZLEXCOUNT', KEYS[2], least, greatest) == 0 then\n"
    "    open[#open + 1] = KEYS[i]\n"
    "  end\n"
    "end\n"
    "if #open > 0 then redis.call('UNLINK', unpack(open)) end\n"
    "return 1\n";

/*
 * KEYS stamp marks; ARGV stamp era nonce marks-ms, then an account and its value, in turns
 * Answers a string, 1 where the value was written and 0 where it was not; an empty one where the
 * marks of that nonce do not stand, or memory is full; or the number 0 where the stamp is another.
 *
 * T11: a value of an older era, and nothing at all, is replaced, unless somebody has written to the
 * account since the marks were set. Everything else is left to rule T9. What stands between two
 * accounts that are not free is written by one MSET: what is done once a key in Lua costs as much as
 * the write itself. That is why the arguments are in that order.
 */
static const char script_rebuild[] = LUA_PROBE LUA_UNDER_STAMP
    "if full or not (" LUA_MARKS_STAND("ARGV[3]") ") then return '' end\n"
    "redis.call('PEXPIRE', KEYS[2], ARGV[4])\n"
    "local keys, written, from = {}, {}, 5\n"
    "for i = 5, #ARGV, 2 do keys[#keys + 1] = ARGV[i] end\n"
    "local marked = redis.call('ZMSCORE', KEYS[2], unpack(keys))\n"
    "for i, now in ipairs(redis.call('MGET', unpack(keys))) do\n"
    "  local free = not marked[i]\n"
    "  if free and now then\n"
    "    local era = string.match(now, '^(%d+) %d+ ')\n"
    "    free = era and tonumber(era) < tonumber(ARGV[2])\n"
    "  end\n"
    "  if not free then\n"
    "    local at = 2 * i + 3\n"
    "    if from < at then redis.call('MSET', unpack(ARGV, from, at - 1)) end\n"
    "    from = at + 2\n"
    "  end\n"
    "  written[i] = free and '1' or '0'\n"
    "end\n"
    "if from < #ARGV then redis.call('MSET', unpack(ARGV, from)) end\n"
    "return table.concat(written)\n";

/* clang-format on */

const char *const cache_scripts[SCRIPT_COUNT] = {
    [SCRIPT_WRITE] = script_write, [SCRIPT_TOKEN] = script_token, [SCRIPT_RAISE] = script_raise,
    [SCRIPT_MARKS] = script_marks, [SCRIPT_GATES] = script_gates, [SCRIPT_REBUILD] = script_rebuild,
};
