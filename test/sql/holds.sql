-- Holds: what they set aside, how they end, and that time ends them.

\ir one.psql

DO $$
DECLARE
    r ballast.post_result;
    hold bigint;
    attempt text;
BEGIN
    PERFORM pg_temp.open('h.ann'), pg_temp.one('credit', 'h-1', 'h.ann', '@world', 1000);
    r := pg_temp.expect(pg_temp.one('hold', 'h-2', 'h.ann', amount => 600, target => 60), 'OK',
                        1000, 3);
    hold := r.id;
    ASSERT r.held = 600 AND r.detail ~ '^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$', r::text;
    ASSERT (SELECT h.expires - h.begun_at BETWEEN '60 s' AND '61 s' AND h.account_id = 'h.ann'
                   AND h.version = 3 AND h.state = 'held' FROM ballast.hold AS h
             WHERE h.hold = r.id), 'the row of the hold';
    FOREACH attempt IN ARRAY ARRAY['state = ''released'', ended_at = now()',
                                   'state = ''captured'', ended_at = now()',
                                   'state = ''captured'', transfer = 1',
                                   'state = ''expired''',
                                   'state = ''expired'', ended_at = begun_at',
                                   'state = ''lost'', ended_at = now()', 'ended_at = now()']
    LOOP
        BEGIN
            SET LOCAL ROLE ballast_owner;
            EXECUTE 'UPDATE ballast.hold SET ' || attempt || ' WHERE hold = ' || hold;
            RAISE EXCEPTION 'a hold can be: %', attempt USING ERRCODE = 'P0004';
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
    PERFORM pg_temp.expect(pg_temp.one('hold', 'h-3', 'h.ann', amount => 401), 'INSUFFICIENT',
                           1000, 3),
            pg_temp.expect(pg_temp.one('debit', 'h-3', 'h.ann', '@world', 401), 'INSUFFICIENT'),
            pg_temp.expect(pg_temp.one('close', 'h-3', 'h.ann'), 'NOTEMPTY');
    r := pg_temp.expect(pg_temp.one('hold', 'h-2', 'h.ann', amount => 600, target => 60), 'OK',
                        1000, 3);
    ASSERT r.duplicate AND r.id = hold AND r.held = 600 AND r.detail ~ 'Z$', r::text;
    PERFORM pg_temp.expect(pg_temp.one('hold', 'h-2', 'h.ann', amount => 600), 'KEYREUSED');

    -- The very first thing that happens to an account.
    PERFORM pg_temp.open('h.first', -5);
    r := pg_temp.expect(pg_temp.one('hold', 'h-first', 'h.first', amount => 5), 'OK', 0, 2);

    -- Captured in part: the rest is free again, in the same version.
    r := pg_temp.expect(pg_temp.one('capture', 'h-4', NULL, '@shop', 601, target => hold),
                        'INSUFFICIENT');
    r := pg_temp.expect(pg_temp.one('capture', 'h-5', NULL, '@shop', 150, target => hold), 'OK',
                        850, 4);
    ASSERT r.held = 0 AND NOT r.duplicate, r::text;
    ASSERT (SELECT (t.kind, t.amount, t.from_held, t.to_account) = ('capture', 150::bigint,
                                                                   0::bigint, '@shop')
              FROM ballast.transfer AS t WHERE t.transfer = r.id), 'the movement of the capture';
    r := pg_temp.expect(pg_temp.one('capture', 'h-5', NULL, '@shop', 150, target => hold), 'OK',
                        850, 4);
    ASSERT r.duplicate, 'a capture again';
    PERFORM pg_temp.expect(pg_temp.one('capture', 'h-6', NULL, '@shop', 1, target => hold),
                           'NOHOLD'),
            pg_temp.expect(pg_temp.one('release', 'h-6', NULL, target => hold), 'NOHOLD'),
            pg_temp.expect(pg_temp.one('release', 'h-6', NULL, target => 0), 'NOHOLD'),
            pg_temp.expect(pg_temp.one('hold', 'h-6', 'h.nobody', amount => 1), 'NOACCOUNT');

    r := pg_temp.expect(pg_temp.one('hold', 'h-7', 'h.ann', amount => 850), 'OK', 850, 5);
    ASSERT (SELECT h.expires - h.begun_at BETWEEN '7 days' AND '7 days 1 s' FROM ballast.hold AS h
             WHERE h.hold = r.id), 'without a time: a week';
    hold := r.id;
    r := pg_temp.expect(pg_temp.one('release', 'h-8', NULL, target => hold), 'OK', 850, 6);
    ASSERT r.held = 0 AND r.changed, r::text;
    r := pg_temp.expect(pg_temp.one('release', 'h-8', NULL, target => hold), 'OK', 850, 6);
    ASSERT r.duplicate AND r.changed AND r.held = 0 AND r.id IS NULL, r::text;

    -- Not empty either where all that it has is held of its credit.
    PERFORM pg_temp.open('h.credit', -10);
    hold := (pg_temp.one('hold', 'h-12', 'h.credit', amount => 10)).id;
    PERFORM pg_temp.expect(pg_temp.one('close', 'h-13', 'h.credit'), 'NOTEMPTY', 0, 2),
            pg_temp.one('release', 'h-14', NULL, target => hold),
            pg_temp.expect(pg_temp.one('close', 'h-15', 'h.credit'), 'OK', 0, 4);

    -- All of it, and what was promised is paid whatever became of the floor since.
    r := pg_temp.one('hold', 'h-9', 'h.ann', amount => 800);
    PERFORM pg_temp.expect(pg_temp.one('setfloor', 'h-10', 'h.ann', amount => 500), 'OK', 850, 8),
            pg_temp.expect(pg_temp.one('capture', 'h-11', NULL, '@world', target => r.id), 'OK',
                           50, 9);
END
$$;
\echo ok holds, captures, releases

DO $$
DECLARE
    open bigint;
BEGIN
    PERFORM pg_temp.open('h.good'), pg_temp.one('credit', 'h-16', 'h.good', '@world', 1000);
    open := (pg_temp.one('hold', 'h-17', 'h.good', amount => 100)).id;
    PERFORM pg_temp.expect(pg_temp.one('hold', 'h-bad', 'h.good', amount => 0), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', 'h-bad', 'h.good', amount => -1), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', 'h-bad', 'h.good'), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', 'h-bad', '@world', amount => 1), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', 'h-bad', 'h.good', amount => 1, target => 0), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', NULL, 'h.good', amount => 1), 'ERR'),
            pg_temp.expect(pg_temp.one('hold', repeat('k', 129), 'h.good', amount => 1), 'ERR'),
            pg_temp.expect(pg_temp.one('capture', 'h-bad', NULL, '@world'), 'ERR'),
            pg_temp.expect(pg_temp.one('capture', 'h-bad', NULL, 'h.ann', target => open), 'ERR'),
            pg_temp.expect(pg_temp.one('capture', 'h-bad', NULL, target => open), 'ERR'),
            pg_temp.expect(pg_temp.one('capture', 'h-bad', NULL, '@world', 0, target => open), 'ERR'),
            pg_temp.expect(pg_temp.one('release', 'h-bad', NULL, amount => 0, target => open), 'ERR'),
            pg_temp.expect(pg_temp.one('release', 'h-bad', NULL), 'ERR');
    ASSERT NOT EXISTS (SELECT FROM ballast.mutation WHERE key = 'h-bad'), 'ERR is remembered';
    -- What is promised is not paid from a suspended account, and can be given back.
    PERFORM pg_temp.one('suspend', 'h-18', 'h.good'),
            pg_temp.expect(pg_temp.one('capture', 'h-19', NULL, '@world', target => open),
                           'SUSPENDED'),
            pg_temp.expect(pg_temp.one('release', 'h-20', NULL, target => open), 'OK', 1000, 5);
    -- More is free than an int64 can hold.
    PERFORM pg_temp.open('h.vast', -9223372036854775807),
            pg_temp.one('credit', 'h-21', 'h.vast', '@world', 9223372036854775807);
    FOR n IN 2 .. 3 LOOP
        PERFORM pg_temp.expect(pg_temp.one('hold', 'h-2' || n, 'h.vast', amount => 4611686018427387903),
                               'OK');
    END LOOP;
    PERFORM pg_temp.expect(pg_temp.one('hold', 'h-24', 'h.vast', amount => 4611686018427387903),
                           'OVERFLOW', 9223372036854775807, 4);
END
$$;
\echo ok malformed holds

-- What comes by the thousand is not posted one by one, whatever is mixed; what is refused in between is,
-- with all that is about the same account.
CREATE FUNCTION pg_temp.in_order() RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(sum(pg_stat_get_xact_function_calls(p.oid)), 0)::bigint
      FROM pg_proc AS p WHERE p.proname = 'post_in_order'
$$;
CREATE FUNCTION pg_temp.mixed(prefix text, holds bigint[], spent bigint)
RETURNS TABLE (outcome text, held bigint, version bigint) LANGUAGE sql AS $$
    SELECT r.outcome, r.held, r.version
      FROM ballast.post_batch(
               ARRAY['credit', 'hold', 'capture', 'release', 'debit', 'hold'],
               ARRAY(SELECT prefix || n FROM generate_series(1, 6) AS n),
               ARRAY['h.mix1', 'h.mix1', NULL, NULL, 'h.mix2', 'h.mix3'],
               ARRAY['@world', NULL, '@shop', NULL, '@shop', NULL], array_fill(NULL::text, ARRAY[6]),
               ARRAY[7, 5, 3, NULL, spent, 1], ARRAY[NULL, NULL, holds[1], holds[2], NULL, 60],
               array_fill(NULL::text, ARRAY[6]), ARRAY[1, 2, 3, 4, 5, 6]) AS r
     WHERE r.part = 0 ORDER BY r.op
$$;
SET track_functions = 'pl';
DO $$
BEGIN
    FOR n IN 1 .. 3 LOOP
        PERFORM pg_temp.open('h.mix' || n),
                pg_temp.one('credit', 'hx-1' || n, 'h.mix' || n, '@world', 100);
    END LOOP;
    FOR n IN 1 .. 4 LOOP
        PERFORM pg_temp.one('hold', 'hx-2' || n, 'h.mix' || (n + 1) / 2, amount => 10);
    END LOOP;
END
$$;
DO $$
DECLARE
    holds CONSTANT bigint[] := ARRAY(SELECT h.hold FROM ballast.hold AS h
                                      WHERE h.account_id ~ '^h.mix' ORDER BY h.hold);
    before CONSTANT bigint := pg_temp.in_order();
    r text;
BEGIN
    r := (SELECT string_agg(format('%s %s %s', x.outcome, x.held, x.version), ', ')
            FROM pg_temp.mixed('hx-3', ARRAY[holds[1], holds[3]], 20) AS x);
    ASSERT r = 'OK 20 5, OK 25 6, OK 15 7, OK 10 5, OK 10 6, OK 1 3', r;
    ASSERT pg_temp.in_order() = before, 'posted in order';
    -- Refused: of an account that is there in front of what is refused, as well as behind it.
    r := (SELECT string_agg(format('%s %s %s', x.outcome, x.held, x.version), ', ')
            FROM pg_temp.mixed('hx-4', ARRAY[holds[2], holds[4]], 1000) AS x);
    ASSERT r = 'OK 15 8, OK 20 9, OK 10 10, OK 0 7, INSUFFICIENT 0 7, OK 2 4', r;
    ASSERT pg_temp.in_order() = before + 1, 'what is refused is not posted in order';
    -- Over, and over twice in one batch.
    r := (SELECT string_agg(format('%s %s', x.outcome, x.version), ', ')
            FROM pg_temp.mixed('hx-5', ARRAY[holds[2], holds[2]], 1) AS x);
    ASSERT r = 'OK 11, OK 12, NOHOLD 12, NOHOLD 12, OK 8, OK 5', r;
    r := (SELECT string_agg(format('%s %s', x.outcome, x.version), ', ')
            FROM pg_temp.mixed('hx-6', ARRAY[holds[4], 1000000000000], 1) AS x);
    ASSERT r = 'OK 13, OK 14, NOHOLD 8, NOHOLD , OK 9, OK 6', r;
    -- The same again: as it was then.
    r := (SELECT string_agg(format('%s %s %s', x.outcome, x.held, x.version), ', ')
            FROM pg_temp.mixed('hx-3', ARRAY[holds[1], holds[3]], 20) AS x);
    ASSERT r = 'OK 20 5, OK 25 6, OK 15 7, OK 10 5, OK 10 6, OK 1 3', r;
END
$$;
RESET track_functions;
\echo ok holds, their ends, credits and debits in one batch

-- Makes the time of an account's holds pass: the tests are the only ones who may.
CREATE FUNCTION pg_temp.age(account text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL session_replication_role = replica;
    UPDATE ballast.hold SET begun_at = begun_at - interval '1 year',
                            expires = expires - interval '1 year'
     WHERE account_id = account AND state = 'held';
    SET LOCAL session_replication_role = origin;
END
$$;

DO $$
DECLARE
    r ballast.post_result;
    hold bigint;
BEGIN
    PERFORM pg_temp.open('h.time'), pg_temp.one('credit', 'ht-1', 'h.time', '@world', 100);
    hold := (pg_temp.one('hold', 'ht-2', 'h.time', amount => 30)).id;
    PERFORM pg_temp.one('hold', 'ht-3', 'h.time', amount => 50),
            pg_temp.expect(pg_temp.one('debit', 'ht-4', 'h.time', '@world', 60), 'INSUFFICIENT'),
            pg_temp.age('h.time');
    -- What does not need the money does not wait for it; what needs it sees it freed, with a
    -- version and an event for each hold.
    PERFORM pg_temp.expect(pg_temp.one('debit', 'ht-5', 'h.time', '@world', 5), 'OK', 95, 5);
    ASSERT (SELECT held = 80 FROM ballast.account WHERE account_id = 'h.time'), 'held as before';
    PERFORM pg_temp.expect(pg_temp.one('debit', 'ht-6', 'h.time', '@world', 60), 'OK', 35, 8);
    ASSERT (SELECT string_agg(format('%s %s %s', e.version, e.held, e.detail), ', '
                              ORDER BY e.version)
              FROM ballast.account_event AS e
             WHERE e.account_id = 'h.time' AND e.kind = 'expire')
           = format('6 50 hold %s, 7 0 hold %s', hold, hold + 1), 'the events of the expiries';
    PERFORM pg_temp.expect(pg_temp.one('capture', 'ht-7', NULL, '@world', target => hold), 'NOHOLD');
    -- Each kind that meets a hold whose time is up.
    FOR n IN 1 .. 2 LOOP
        hold := (pg_temp.one('hold', 'ht-8' || n, 'h.time', amount => 35)).id;
        PERFORM pg_temp.age('h.time');
        r := CASE n WHEN 1 THEN pg_temp.one('canspend', NULL, 'h.time', amount => 35)
                    ELSE pg_temp.one('release', 'ht-9', NULL, target => hold) END;
        ASSERT (r.outcome, r.held) = (CASE n WHEN 1 THEN 'OK' ELSE 'NOHOLD' END, 0::bigint)
               AND r.version = 8 + 2 * n, r::text;
    END LOOP;
END
$$;
\echo ok time frees held money for whoever needs it

DO $$
DECLARE
    rows ballast.post_result[];
BEGIN
    FOR n IN 1 .. 3 LOOP
        PERFORM pg_temp.open('h.sweep' || n),
                pg_temp.one('credit', 'hw-1' || n, 'h.sweep' || n, '@world', 100),
                pg_temp.one('hold', 'hw-2' || n, 'h.sweep' || n, amount => 40, target => 100 - n),
                pg_temp.age('h.sweep' || n);
    END LOOP;
    FOR n IN 1 .. 3 LOOP
        rows := ARRAY(SELECT r FROM ballast.post_batch(ARRAY['expire'], ARRAY[NULL], ARRAY[NULL],
            ARRAY[NULL], ARRAY[NULL], ARRAY[2]::bigint[], ARRAY[NULL]::bigint[], ARRAY[NULL],
            ARRAY[0]) AS r ORDER BY r.part, r.account);
        ASSERT cardinality(rows) = (ARRAY[3, 2, 1])[n] AND rows[1].outcome = 'OK'
           AND rows[1].id IS NOT DISTINCT FROM (ARRAY[2, 1, NULL])[n], rows::text;
        IF n = 1 THEN
            ASSERT (rows[2].account, rows[2].part, rows[2].held, rows[2].version)
                   = ('h.sweep2', 2::smallint, 0::bigint, 4::bigint)
               AND rows[3].account = 'h.sweep3', rows::text;
        END IF;
    END LOOP;
END
$$;
\echo ok a sweep posts what is due, oldest first, and shows the accounts

-- More holds that are due than one transaction ends: whoever asks counts all of them as free at once,
-- and what was not posted yet is posted by those that come later.
CREATE FUNCTION pg_temp.many(account text, holds integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_temp.open(account), pg_temp.one('credit', account || '-c', account, '@world', holds);
    PERFORM pg_temp.hold_page(account, n, least(n + 499, holds))
       FROM generate_series(1, holds, 500) AS n;
    PERFORM pg_temp.age(account);
END
$$;
CREATE FUNCTION pg_temp.hold_page(account text, first integer, last integer) RETURNS bigint
LANGUAGE sql AS $$
    SELECT count(*) FROM ballast.post_batch(
        ARRAY(SELECT 'hold' FROM generate_series(first, last)),
        ARRAY(SELECT account || '-' || n FROM generate_series(first, last) AS n),
        ARRAY(SELECT account FROM generate_series(first, last)),
        ARRAY(SELECT NULL::text FROM generate_series(first, last)),
        ARRAY(SELECT NULL::text FROM generate_series(first, last)),
        ARRAY(SELECT 1::bigint FROM generate_series(first, last)),
        ARRAY(SELECT 10 + n::bigint FROM generate_series(first, last) AS n),
        ARRAY(SELECT NULL::text FROM generate_series(first, last)),
        ARRAY(SELECT n FROM generate_series(first, last) AS n)) AS r
     WHERE r.outcome = 'OK'
$$;
CREATE FUNCTION pg_temp.open_holds(account text) RETURNS bigint LANGUAGE sql AS $$
    SELECT a.held FROM ballast.account AS a
     WHERE a.account_id = account
       AND a.held = (SELECT count(*) FROM ballast.hold AS h
                      WHERE h.account_id = account AND h.state = 'held')
       AND a.version = 2 + (SELECT count(*) FROM ballast.account_event AS e
                             WHERE e.account_id = account AND e.kind IN ('hold', 'expire'))
                         + (SELECT count(*) FROM ballast.transfer AS t
                             WHERE t.from_account = account)
$$;

DO $$
DECLARE
    r ballast.post_result;
    last bigint;
    held bigint := 2500;
BEGIN
    PERFORM pg_temp.many('h.many', 2500);
    last := (SELECT max(h.hold) FROM ballast.hold AS h WHERE h.account_id = 'h.many');
    -- Posted: as many as were asked for, those first whose time was up first.
    r := pg_temp.expect(pg_temp.one('expire', NULL, NULL, amount => 400), 'OK');
    ASSERT r.id = 1 AND pg_temp.open_holds('h.many') = 2100, pg_temp.open_holds('h.many')::text;
    ASSERT (SELECT max(h.hold) FILTER (WHERE h.state = 'expired') < min(h.hold) FILTER (
                       WHERE h.state = 'held')
              FROM ballast.hold AS h WHERE h.account_id = 'h.many'), 'not those due longest';
    -- Asked for more than a thousand: a thousand.
    PERFORM pg_temp.one('expire', NULL, NULL, amount => 5000);
    ASSERT pg_temp.open_holds('h.many') = 1100, pg_temp.open_holds('h.many')::text;
    -- Everything is free; no more than a thousand were posted.
    PERFORM pg_temp.expect(pg_temp.one('canspend', NULL, 'h.many', amount => 2500), 'OK', 2500);
    ASSERT pg_temp.open_holds('h.many') = 100, pg_temp.open_holds('h.many')::text;
END
$$;
DO $$
BEGIN
    PERFORM pg_temp.many('h.debit', 2200),
            pg_temp.expect(pg_temp.one('debit', 'hm-1', 'h.debit', '@world', 2201), 'INSUFFICIENT',
                           2200);
    ASSERT pg_temp.open_holds('h.debit') = 1200, 'a refusal posts expiries too';
    PERFORM pg_temp.expect(pg_temp.one('debit', 'hm-1', 'h.debit', '@world', 2200), 'OK', 0);
    ASSERT pg_temp.open_holds('h.debit') = 200, pg_temp.open_holds('h.debit')::text;

    PERFORM pg_temp.many('h.hold', 1500);
    PERFORM pg_temp.expect(pg_temp.one('hold', 'hm-2', 'h.hold', amount => 1500), 'OK', 1500),
            pg_temp.expect(pg_temp.one('debit', 'hm-3', 'h.hold', '@world', 1), 'INSUFFICIENT');

    -- Neither suspended, charged nor denied for what is due; the evidence has it as held.
    PERFORM pg_temp.many('h.below', 3200);
    PERFORM pg_temp.expect(pg_temp.one('charge', 'hm-4', 'h.below', amount => 5, target => 3200),
                           'NOTDUE'),
            pg_temp.one('setfloor', 'hm-5', 'h.below', amount => 3200);
    ASSERT NOT (pg_temp.one('suspend', 'hm-6', 'h.below', memo => 'ifbelow')).changed,
        'suspended for what is due';
    PERFORM pg_temp.one('setfloor', 'hm-7', 'h.below', amount => 3201);
    ASSERT (pg_temp.one('suspend', 'hm-8', 'h.below', memo => 'ifbelow')).changed, 'not suspended';
END
$$;
DO $$
DECLARE
    last bigint;
BEGIN
    -- A hold whose expiry is to be posted yet is over.
    PERFORM pg_temp.many('h.over', 1010);
    last := (SELECT max(h.hold) FROM ballast.hold AS h WHERE h.account_id = 'h.over');
    PERFORM pg_temp.expect(pg_temp.one('capture', 'hm-9', NULL, '@world', target => last), 'NOHOLD'),
            pg_temp.one('hold', 'hm-10', 'h.over', amount => 1);
    PERFORM pg_temp.many('h.over2', 1010);
    last := (SELECT max(h.hold) FROM ballast.hold AS h WHERE h.account_id = 'h.over2');
    PERFORM pg_temp.expect(pg_temp.one('release', 'hm-11', NULL, target => last), 'NOHOLD');
    ASSERT pg_temp.open_holds('h.over2') = 10, pg_temp.open_holds('h.over2')::text;

    -- Closed all the same, and what is due is posted on a closed account as on any other.
    PERFORM pg_temp.many('h.close2', 1010),
            pg_temp.expect(pg_temp.one('close', 'hm-13', 'h.close2'), 'NOTEMPTY', 1010);
    PERFORM pg_temp.many('h.close3', 2500),
            pg_temp.one('debit', 'hm-14', 'h.close3', '@world', 2500);
    ASSERT pg_temp.open_holds('h.close3') = 1500, pg_temp.open_holds('h.close3')::text;
    ASSERT (pg_temp.expect(pg_temp.one('close', 'hm-15', 'h.close3'), 'OK', 0)).status = 'closed';
    ASSERT (SELECT (a.held, a.status) = (500, 'closed') FROM ballast.account AS a
             WHERE a.account_id = 'h.close3'), 'closed with more that is due';
    PERFORM pg_temp.expect(pg_temp.one('capture', 'hm-16', NULL, '@world', target => h.hold),
                           'NOHOLD')
       FROM ballast.hold AS h WHERE h.account_id = 'h.close3' AND h.state = 'held'
      ORDER BY h.expires DESC LIMIT 1;

    -- The sweep ends what is left, and says when there is no more.
    FOR n IN 1 .. 20 LOOP
        EXIT WHEN (pg_temp.one('expire', NULL, NULL, amount => 1000)).id IS NULL;
        ASSERT n < 20, 'the sweep has no end';
    END LOOP;
    ASSERT NOT EXISTS (SELECT FROM ballast.hold AS h
                        WHERE h.state = 'held' AND h.expires <= clock_timestamp()), 'holds are due';
    ASSERT (SELECT array_agg(a.held::bigint ORDER BY a.account_id)
              FROM ballast.account AS a
             WHERE a.account_id IN ('h.close3', 'h.many', 'h.debit', 'h.hold', 'h.over'))
           = ARRAY[0, 0, 1500, 0, 1]::bigint[], 'held at the end';
    ASSERT (SELECT a.status = 'closed' FROM ballast.account AS a
             WHERE a.account_id = 'h.close3'), 'closed no more';
END
$$;
\echo ok one transaction ends a thousand holds at most, and all that are due are free at once
