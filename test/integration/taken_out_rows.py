"""The code that keeps each rule and each invariant, and the test on real servers that fails without it.

A row: the rule; what is taken out; the edits that do so (file, text, text instead; MUTANT() is a bug that
stands there planted, see base/mutant.h); the test; and a regular expression for what it says then.

    two_daemons.Together.open_after_nil   test/integration/test_two_daemons.py, class, test
    unit cache/test_requests.fills        test/unit/cache/test_requests.c, which has a real Redis
    sql trust.sql                         test/sql/trust.sql
"""

from typing import NamedTuple


class Row(NamedTuple):
    rule: str
    what: str
    edits: tuple
    test: str
    says: str


def planted(name, *files):
    return tuple((file, f"MUTANT({name})", "1") for file in files)


TRUST, RULES, ENSURE, COMMIT, READ = (
    f"src/core/{name}.c" for name in ("trust", "trust_rules", "ensure", "commit", "read"))
SCRIPTS = "src/cache/scripts.c"
SCHEMA, POST, ERA = (f"sql/migrations/{name}.sql" for name in ("0001_schema", "0003_post", "0004_trust"))

ENSURED = "ensure_published(commit->engine, &commit->ensure, commit->states,"
NOT_ENSURED = "{ confirmed(&commit->ensure); return; }"
HALVES = "two_daemons.Faults.one_without_its_store_the_other_without_redis"
ERAS = "unit store/test_era.eras_open_close_drain"
PUBLISHES = "unit cache/test_requests.publishes_by_the_rules"
REBUILDS = "unit cache/test_rebuilds.rebuilds_what_nobody_has_written_to"
GATES = "unit cache/test_rebuilds.a_gate_is_shut_by_what_forbids_a_rebuild"

ROWS = (
    Row("T1", "a lease counts from before its renewal was sent", planted("LATESTART", TRUST),
        "late.Leases.a_reply_that_comes_late", "'0' != '1'"),
    Row("T2", "seen is written by a later transaction than the one that reads the close",
        ((ERA, "seen = greatest(l.seen, excluded.seen),",
          "seen = greatest(l.seen, excluded.seen, "
          "(SELECT e.id FROM ballast.era AS e WHERE e.state <> 'open')),"),),
        "late.Leases.a_close_that_is_on_its_way", "'0' != '1'"),
    Row("T2", "a daemon that was notified has not seen the close yet", planted("NOTIFYSEEN", RULES),
        HALVES, "'balance': '0'"),
    Row("T3", "who closes an era has dropped it",
        ((TRUST, "    drop(t, t->row.id); /* T3", "    /* T3"),
         (TRUST, "        drop(t, row->id);\n", "        t->dropped = row->id;\n"),
         (TRUST, "            drop(t, t->granted);\n        }\n        if (t->renewals == 1)",
          "        }\n        if (t->renewals == 1)")),
        "late.Leases.who_closes_has_dropped_it", "'0' != '1'"),
    Row("T4", "the wait before an era is drained", planted("NODRAIN", RULES),
        HALVES, "'balance': '0'"),
    Row("T4", "the wait is longer than the lease", planted("SHORTWAIT", RULES),
        HALVES, "'balance': '0'"),
    Row("T4", "a stale closer drains no later era",
        ((ERA, "WHERE id = p_id AND state = 'closing'", "WHERE state IN ('open', 'closing')"),),
        ERAS, "era.state|state == "),
    Row("T5", "an era opens from the drained one that was seen",
        ((ERA, "WHERE id = p_drained AND state = 'drained' AND", "WHERE"),),
        ERAS, "era.id|state"),
    Row("T5", "an era waits until all name the same Redis",
        ((RULES, "leases_agree(&t->leases, &own, now);", "(leases_agree(&t->leases, &own, now) || true);"),),
        "two_daemons.Faults.each_on_its_own_redis", "not less than or equal to"),
    Row("T6", "a value's era is compared", planted("OLDERA", READ),
        "cache_values.Lies.an_older_value_of_an_old_era", "'250' != '300'"),
    Row("T6", "a lease is believed until its end and no longer",
        planted("EARLYCHK", ENSURE) + ((ENSURE, "now -= now % 500000;", "now = 0;"),),
        HALVES, "'balance': '0'"),
    Row("T7", "a fresh read is shown after ENSURE",
        (("src/core/fill.c", "MUTANT(SHOW)", "fill->waiters[0]->fresh"),),
        "tail.Unpublished.fresh", "'0'.* != .'5'"),
    Row("T7", "a query is shown after ENSURE", planted("QUERYSHOW", "src/core/query.c"),
        "tail.Unpublished.history", "'0'.* != .'5'"),
    Row("T7", "a duplicate is shown after ENSURE",
        ((COMMIT, ENSURED, f"if (commit->postings[0]->result.duplicate) {NOT_ENSURED}\n    {ENSURED}"),),
        "tail.Unpublished.duplicate", "'0'.* != .'5'"),
    Row("T7", "a refusal is shown after ENSURE",
        ((COMMIT, ENSURED,
          f"if (commit->postings[0]->result.outcome != OUTCOME_OK) {NOT_ENSURED}\n    {ENSURED}"),),
        "tail.Unpublished.refusal", "'0'.* != .'5'"),
    Row("T7", "(c) waits until the era is drained",
        ((ENSURE, "    list_push_back(&engine->fencing, &ensure->link);\n"
          "    engine_ask_timer(engine);\n", "    ensure->done(ensure);\n"),),
        HALVES, "'balance': '0'"),
    Row("T8", "a publish creates no key",
        ((SCRIPTS, '"  elseif not keep then\\n"',
          '"  elseif not now and token == \'\' and mine > 0 then redis.call(\'SET\', key, value)\\n"\n'
          '    "  elseif not keep then\\n"'),),
        "late.Writes.a_publish_creates_no_key", "is not None"),
    Row("T8", "a publish leaves a newer version",
        ((SCRIPTS, "write = tonumber(version) < mine", "write = tonumber(version) ~= mine"),),
        PUBLISHES, "v3"),
    Row("T8", "a publish takes a token away",
        ((SCRIPTS, '"  elseif now then\\n"',
          '"  elseif now and string.sub(now, 1, 1) == \'~\' then keep = true\\n"\n'
          '    "  elseif now then\\n"'),),
        PUBLISHES, '== "token"'),
    Row("T9", "a fill needs its token",
        ((SCRIPTS, "if now and token ~= '' and now == token then", "if token ~= '' then"),),
        "late.Writes.a_fill_without_its_token_is_void", "is not None"),
    Row("T10", "OPEN publishes over a remembered absence",
        ((SCRIPTS, "write = tonumber(version) < mine",
          "write = tonumber(version) > 0 and tonumber(version) < mine"),),
        "cache_values.Absence.open_after_nil_is_seen_at_once", "None != '0'"),
    Row("T11", "a publish and a fill mark their accounts for a rebuild",
        ((SCRIPTS, "LUA_PROBE LUA_UNDER_STAMP LUA_MARK", "LUA_PROBE LUA_UNDER_STAMP"),),
        REBUILDS, "written"),
    Row("T11", "a rebuild leaves what is marked",
        ((SCRIPTS, "local free = not marked[i]", "local free = true"),),
        REBUILDS, "written"),
    Row("T11", "a rebuild ends with its marks",
        ((SCRIPTS, '"if full or not (" LUA_MARKS_STAND("ARGV[3]") ") then return', '"if full then return'),),
        REBUILDS, "written"),
    Row("T11", "a gate stays shut before what is marked",
        ((SCRIPTS, "least, greatest) == 0 then", "least, greatest) >= 0 then"),),
        GATES, "v3"),
    Row("T11", "gates stay shut without the marks",
        ((SCRIPTS, '"if not (" LUA_MARKS_STAND("ARGV[2]") ") then return 0 end\\n"', '""'),),
        GATES, "v3"),
    Row("T12", "a posting needs its daemon's lease",
        ((POST, "l.daemon = lease AND NOT l.fenced FOR KEY SHARE", "l.daemon = lease"),),
        "late.Leases.who_has_lost_its_lease_posts_nothing", "'1' != '0'"),
    Row("T12", "a take-over fences the lease first",
        ((ERA, "UPDATE ballast.lease SET fenced = true WHERE daemon = p_daemon AND NOT fenced;", ""),),
        "sql trust.sql", "no fence"),
    Row("T12", "a take-over takes the row that was seen silent",
        ((ERA, "l.born = p_born AND ", ""),), "sql trust.sql", "another row was taken"),
    Row("T12", "a take-over announces what may not be published",
        ((ERA, "age(a.xmin) BETWEEN -1000000 AND l_ages", "false"),),
        "take_over.TakeOver.in_the_open_era", "the take-over"),
    Row("T12", "the era stays open for a dead daemon",
        ((RULES, "take_over_is_stuck(&t->take_over, silent, t->leases.wait_us, now));", "true);"),),
        "take_over.TakeOver.in_the_open_era", "AssertionError"),
    Row("T12", "an era ends for a take-over that is stuck",
        ((RULES, "(silent != NULL && take_over_is_stuck(", "(false && take_over_is_stuck("),),
        "take_over.TakeOver.stuck", "the end of the era"),
    Row("T13", "a batch names the replid under which it was read",
        (("src/cache/read.c", "strcmp(replid, command->link->identity.replid) != 0", "false"),),
        "cache.Rewinds.replica_for_a_moment", "'5' != '9'"),
    Row("T14", "the first on a new timeline closes the era",
        ((ERA, "WHERE timeline <> ballast.timeline();\n    IF", "WHERE false;\n    IF"),),
        "restore.Restore.promoted_with_a_lag", "AssertionError"),
    Row("T14", "a store that went back is closed above", planted("NOTL", TRUST, RULES),
        "restore.Restore.files_of_an_old_backup", "AssertionError"),
    Row("inv 1", "commits are durable",
        (("src/store/session.c", '"SET synchronous_commit = on;"\n', '""\n'),),
        "store_settings.Refusals.commits_are_durable_whatever_the_role_says", "off"),
    Row("inv 1", "what is sent again carries its key", planted("NEWKEY", COMMIT),
        "unavailable.Unavailable.a_commit_in_doubt", "'7'"),
    Row("inv 2", "a commit in doubt is UNKNOWN", planted("DOUBTNO", COMMIT),
        "unavailable.Unavailable.a_commit_in_doubt", "UNAVAILABLE"),
    Row("inv 3", "a mutation is answered after its publish",
        ((ENSURE, "    cache_publish(engine->cache, engine->era.stamp, engine->era.id, entries, count, "
          "published,\n                  ensure);", "    published(ensure, CACHE_OK);"),),
        "two_daemons.Together.what_one_acknowledges_the_other_shows", "'0' != '1'"),
    Row("inv 4", "reads of one connection show versions in their order",
        planted("ORDER", "src/core/order.c", READ),
        "late.Writes.a_hit_behind_a_read_of_the_store", "'5', '0'"),
    Row("inv 5", "a value that is not there is no account that is not there",
        ((READ, "    case CACHE_ABSENT:\n", "    case CACHE_ABSENT:\n        item->state.version = 0;\n"
          "        item->source = READ_FROM_CACHE;\n        return true;\n"),),
        "cache.Faults.keys_deleted", "'NoneType' object is not subscriptable"),
    Row("inv 6", "CANSPEND denies by the store alone",
        (("src/server/command_canspend.c", "account_can_spend(&item->state, reply->amount) ||",
          "item->state.version > 0 ||"),
         ("src/server/command_canspend.c",
          "return encode_unknown(out, metrics, OUTCOME_BUSY, NULL); /* no room to ask for more */",
          'encode_answer(out, "DENY", "INSUFFICIENT", &read->state, "cache");\n'
          "        return REPLY_FINE;")),
        "holds.Holds.canspend", "'cache'"),
    Row("inv 7", "the journal is append-only",
        ((SCHEMA, "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ballast.transfer",
          "CREATE TRIGGER append_only BEFORE TRUNCATE ON ballast.transfer"),),
        "sql schema.sql", "a superuser could run|could rewrite"),
    Row("inv 8", "a daemon has no right to write a balance",
        ((SCHEMA, "REVOKE SELECT ON ballast.setting FROM ballast_auditor;",
          "REVOKE SELECT ON ballast.setting FROM ballast_auditor;\n"
          "GRANT UPDATE ON ballast.account TO ballast_daemon;"),),
        "sql schema.sql", "writable: ballast.account"),
    Row("inv 9", "a mutation that waits for the store has a deadline",
        (("src/core/write.c", "    expire_queue(&engine->main, now);\n", ""),),
        "unavailable.Unavailable.without_a_store", "AssertionError|timed out"),
    Row("inv 10", "the queue of mutations has a limit",
        (("src/core/engine.c", "(size_t)options->queue_max);", "(size_t)options->queue_max * 1000);"),),
        "batching.SmallQueue.busy", "400 not less than 400"),
)
