-- One operation at a time: outcomes, replies, exactly-once, limits. Batches against a model are in
-- random_batches_test.py.

\ir one.psql

DO $$
DECLARE
    r ballast.post_result;
BEGIN
    r := pg_temp.expect(pg_temp.open('p.open', -50), 'OK', 0, 1);
    ASSERT r.changed AND r.floor = -50 AND r.asset = 'USD/2' AND r.status = 'active', 'created';
    r := pg_temp.expect(pg_temp.open('p.open', -50), 'OK', 0, 1);
    ASSERT NOT r.changed, 'created twice';
    PERFORM pg_temp.expect(pg_temp.open('p.open', 0), 'EXISTS'),
            pg_temp.expect(pg_temp.open('p.open', -50, 'EUR/2'), 'EXISTS'),
            pg_temp.expect(pg_temp.one('setfloor', 'p-open-1', 'p.open', amount => 7), 'OK', 0, 2);
    r := pg_temp.expect(pg_temp.open('p.open', -50), 'OK', 0, 2);
    ASSERT r.floor = 7 AND NOT r.changed, 'the same OPEN after SETFLOOR';
    PERFORM pg_temp.expect(pg_temp.open('p.open', 7), 'EXISTS'),
            pg_temp.expect(pg_temp.open('p open'), 'ERR'),
            pg_temp.expect(pg_temp.open('@p.open'), 'ERR'),
            pg_temp.expect(pg_temp.open(repeat('x', 65)), 'ERR'),
            pg_temp.expect(pg_temp.open('p.asset', 0, 'usd/2'), 'ERR'),
            pg_temp.expect(pg_temp.open('p.asset', 0, 'USD/19'), 'ERR'),
            pg_temp.expect(pg_temp.open('p.asset', 0, NULL), 'ERR');
END
$$;
\echo ok open

DO $$
DECLARE
    r ballast.post_result;
    id bigint;
BEGIN
    PERFORM pg_temp.open('p.ann');
    r := pg_temp.expect(pg_temp.one('credit', 'p-1', 'p.ann', '@world', 1000), 'OK', 1000, 2);
    id := r.id;
    r := pg_temp.expect(pg_temp.one('debit', 'p-2', 'p.ann', '@fees', 400, 'm'), 'OK', 600, 3);
    ASSERT r.id > id AND NOT r.duplicate, 'ids ascend';
    PERFORM pg_temp.expect(pg_temp.one('debit', 'p-3', 'p.ann', '@fees', 601), 'INSUFFICIENT',
                           600, 3);
    r := pg_temp.expect(pg_temp.one('credit', 'p-1', 'p.ann', '@world', 1000), 'OK', 1000, 2);
    ASSERT r.duplicate AND r.id = id, format('the repeat of a credit: %s', r);
    PERFORM pg_temp.expect(pg_temp.one('credit', 'p-1', 'p.ann', '@world', 1001), 'KEYREUSED'),
            pg_temp.expect(pg_temp.one('credit', 'p-1', 'p.ann', '@fees', 1000), 'KEYREUSED'),
            pg_temp.expect(pg_temp.one('credit', 'p-1', 'p.ann', '@world', 1000, ''), 'KEYREUSED'),
            pg_temp.expect(pg_temp.one('debit', 'p-1', 'p.ann', '@world', 1000), 'KEYREUSED'),
            pg_temp.expect(pg_temp.one('close', 'p-1', 'p.ann'), 'KEYREUSED'),
            pg_temp.expect(pg_temp.one('debit', 'p-3', 'p.ann', '@fees', 600), 'OK', 0, 4),
            pg_temp.expect(pg_temp.one('credit', 'p-4', 'p.nobody', '@world', 1), 'NOACCOUNT'),
            pg_temp.expect(pg_temp.one('debit', 'p-4', 'p.nobody', '@world', 1), 'NOACCOUNT');
    ASSERT NOT EXISTS (SELECT FROM ballast.mutation WHERE key = 'p-4'), 'a refusal is remembered';
END
$$;
\echo ok credit and debit, exactly once

DO $$
BEGIN
    PERFORM pg_temp.expect(pg_temp.one('credit', 'p-bad', 'p.ann', '@world', 0), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', 'p-bad', 'p.ann', '@world', -1), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', 'p-bad', 'p.ann', '@world', NULL), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', 'p-bad', 'p.ann', 'p.bob', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('debit', 'p-bad', '@world', '@fees', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('transfer', 'p-bad', 'p.ann', 'p.ann', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('transfer', 'p-bad', 'p.ann', NULL, 1), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', NULL, 'p.ann', '@world', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', '', 'p.ann', '@world', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('credit', repeat('k', 129), 'p.ann', '@world', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('setfloor', 'p-bad', '@world', amount => 1), 'ERR'),
            pg_temp.expect(pg_temp.one('close', 'p-bad', '@world'), 'ERR'),
            pg_temp.expect(pg_temp.one('steal', 'p-bad', 'p.ann', '@world', 1), 'ERR'),
            pg_temp.expect(pg_temp.one('reverse', 'p-bad', NULL), 'ERR');
    ASSERT NOT EXISTS (SELECT FROM ballast.mutation WHERE key = 'p-bad'), 'ERR is remembered';
END
$$;
\echo ok malformed operations

DO $$
DECLARE
    int64_max CONSTANT bigint := 9223372036854775807;
BEGIN
    PERFORM pg_temp.open('p.rich'), pg_temp.open('p.poor', -int64_max - 1);
    PERFORM pg_temp.expect(pg_temp.one('credit', 'p-o1', 'p.rich', '@world', int64_max), 'OK',
                           int64_max, 2),
            pg_temp.expect(pg_temp.one('credit', 'p-o2', 'p.rich', '@world', 1), 'OVERFLOW'),
            pg_temp.expect(pg_temp.one('transfer', 'p-o3', 'p.poor', 'p.rich', 1), 'OVERFLOW'),
            pg_temp.expect(pg_temp.one('debit', 'p-o4', 'p.poor', '@world', int64_max), 'OK',
                           -int64_max, 2),
            pg_temp.expect(pg_temp.one('debit', 'p-o5', 'p.poor', '@world', 1), 'OK',
                           -int64_max - 1, 3),
            pg_temp.expect(pg_temp.one('debit', 'p-o6', 'p.poor', '@world', 1), 'INSUFFICIENT'),
            pg_temp.expect(pg_temp.one('setfloor', 'p-o7', 'p.poor', amount => int64_max), 'OK'),
            pg_temp.expect(pg_temp.one('debit', 'p-o8', 'p.poor', '@world', int64_max),
                           'INSUFFICIENT'),
            pg_temp.expect(pg_temp.one('transfer', 'p-o9', 'p.rich', 'p.poor', int64_max), 'OK',
                           0, 3);
END
$$;
\echo ok the ends of int64

DO $$
DECLARE
    r ballast.post_result;
    parts text;
BEGIN
    PERFORM pg_temp.open('t.a'), pg_temp.open('t.b'), pg_temp.open('t.e', 0, 'EUR/2'),
            pg_temp.one('credit', 't-1', 't.a', '@world', 100);
    r := pg_temp.expect(pg_temp.one('transfer', 't-2', 't.a', 't.b', 30), 'OK', 70, 3);
    SELECT string_agg(format('%s:%s:%s:%s', x.part, x.account, x.balance, x.version), ' '
                      ORDER BY x.part, x.account) INTO parts
      FROM ballast.post_batch(ARRAY['transfer'], ARRAY['t-2'], ARRAY['t.a'], ARRAY['t.b'],
            ARRAY[NULL], ARRAY[30]::bigint[], ARRAY[NULL]::bigint[], ARRAY[NULL], ARRAY[0]) AS x;
    ASSERT parts = '0:t.a:70:3 1:t.b:30:2 2:t.a:70:3 2:t.b:30:2', 'duplicate transfer: ' || parts;
    PERFORM pg_temp.expect(pg_temp.one('transfer', 't-3', 't.a', 't.e', 1), 'ASSET'),
            pg_temp.expect(pg_temp.one('transfer', 't-3', 't.a', 't.x', 1), 'NOACCOUNT'),
            pg_temp.expect(pg_temp.one('transfer', 't-3', 't.a', 't.b', 71), 'INSUFFICIENT');
    SELECT string_agg(format('%s:%s:%s', x.part, x.account, x.balance), ' ' ORDER BY x.part)
      INTO parts
      FROM ballast.post_batch(ARRAY['transfer'], ARRAY['t-4'], ARRAY['@world'], ARRAY['t.b'],
            ARRAY[NULL], ARRAY[5]::bigint[], ARRAY[NULL]::bigint[], ARRAY[NULL], ARRAY[0]) AS x;
    ASSERT parts = '0:@world: 1:t.b:35', 'transfer from a system account: ' || parts;
END
$$;
\echo ok transfers

DO $$
DECLARE
    r ballast.post_result;
    id bigint;
BEGIN
    PERFORM pg_temp.open('r.a'), pg_temp.open('r.b');
    id := (pg_temp.one('credit', 'r-1', 'r.a', '@world', 100)).id;
    r := pg_temp.expect(pg_temp.one('reverse', 'r-2', NULL, amount => 30, target => id), 'OK', 70);
    PERFORM pg_temp.expect(pg_temp.one('reverse', 'r-3', NULL, amount => 71, target => id), 'ERR'),
            pg_temp.expect(pg_temp.one('reverse', 'r-4', NULL, target => r.id), 'ERR'),
            pg_temp.expect(pg_temp.one('reverse', 'r-3', NULL, target => id), 'OK', 0),
            pg_temp.expect(pg_temp.one('reverse', 'r-5', NULL, target => id), 'ERR'),
            pg_temp.expect(pg_temp.one('reverse', 'r-5', NULL, target => 1000000000), 'NOTRANSFER');
    PERFORM pg_temp.one('credit', 'r-6', 'r.a', '@world', 100);
    id := (pg_temp.one('transfer', 'r-7', 'r.a', 'r.b', 60)).id;
    PERFORM pg_temp.one('debit', 'r-8', 'r.b', '@fees', 10);
    PERFORM pg_temp.expect(pg_temp.one('reverse', 'r-9', NULL, target => id), 'INSUFFICIENT', 50);
    r := pg_temp.expect(pg_temp.one('reverse', 'r-9', NULL, amount => 50, target => id), 'OK', 0);
    ASSERT r.account = 'r.b', format('the payee pays back: %s', r);
    r := pg_temp.expect(pg_temp.one('reverse', 'r-9', NULL, amount => 50, target => id), 'OK', 0);
    ASSERT r.duplicate, format('a reverse repeated: %s', r);
END
$$;
\echo ok reverses

DO $$
DECLARE
    outcomes text;
    id bigint;
BEGIN
    PERFORM pg_temp.open('m.a'), pg_temp.open('m.b'), pg_temp.open('m.c'),
            pg_temp.one('credit', 'm-1', 'm.a', '@world', 100);
    -- The second leg spends what the first brings.
    SELECT max(x.id), string_agg(format('%s:%s:%s', x.part, x.account, x.balance), ' '
                                 ORDER BY x.part, x.account)
      INTO id, outcomes
      FROM ballast.post_batch(ARRAY['mtransfer', 'mtransfer', 'mtransfer'],
            ARRAY['m-2', 'm-2', 'm-2'], ARRAY['m.a', 'm.b', 'm.b'], ARRAY['m.b', 'm.c', '@fees'],
            ARRAY[NULL, NULL, NULL], ARRAY[80, 50, 10]::bigint[], ARRAY[NULL, NULL, NULL]::bigint[],
            ARRAY[NULL, NULL, NULL], ARRAY[0, 0, 0]) AS x;
    ASSERT outcomes = '0:: 2:m.a:20 2:m.b:20 2:m.c:50', outcomes;
    SELECT string_agg(format('%s:%s', x.part, x.outcome || coalesce(' ' || x.detail, '')), ' '
                      ORDER BY x.part) INTO outcomes
      FROM ballast.post_batch(ARRAY['mtransfer', 'mtransfer'], ARRAY['m-3', 'm-3'],
            ARRAY['m.a', 'm.b'], ARRAY['m.b', 'm.c'], ARRAY[NULL, NULL], ARRAY[20, 41]::bigint[],
            ARRAY[NULL, NULL]::bigint[], ARRAY[NULL, NULL], ARRAY[0, 0]) AS x WHERE x.part = 0;
    ASSERT outcomes = '0:INSUFFICIENT leg 2: available 40, floor 0, asked 41', outcomes;
    ASSERT (SELECT balance FROM ballast.account WHERE account_id = 'm.a') = 20, 'leg 1 stayed';
    PERFORM pg_temp.expect(pg_temp.one('reverse', 'm-4', NULL, amount => 1, target => id), 'ERR'),
            pg_temp.expect(pg_temp.one('reverse', 'm-4', NULL, target => id), 'OK'),
            pg_temp.expect(pg_temp.one('reverse', 'm-5', NULL, target => id), 'ERR');
    SELECT string_agg(balance::text, ' ' ORDER BY account_id) INTO outcomes
      FROM ballast.account WHERE account_id IN ('m.a', 'm.b', 'm.c');
    ASSERT outcomes = '100 0 0', outcomes;
END
$$;
\echo ok transfers of several legs

DO $$
DECLARE
    r ballast.post_result;
BEGIN
    PERFORM pg_temp.open('s.a'), pg_temp.one('credit', 's-1', 's.a', '@world', 10);
    r := pg_temp.expect(pg_temp.one('setfloor', 's-2', 's.a', amount => -5), 'OK', 10, 3);
    ASSERT r.changed AND r.floor = -5, format('setfloor: %s', r);
    r := pg_temp.expect(pg_temp.one('setfloor', 's-3', 's.a', amount => -5), 'OK', 10, 3);
    ASSERT NOT r.changed, format('the same floor: %s', r);
    r := pg_temp.expect(pg_temp.one('setfloor', 's-2', 's.a', amount => -5), 'OK', 10, 3);
    ASSERT r.changed AND r.duplicate, format('setfloor repeated: %s', r);
    r := pg_temp.expect(pg_temp.one('setfloor', 's-3', 's.a', amount => -5), 'OK', 10, 3);
    ASSERT NOT r.changed AND r.duplicate, format('the same floor repeated: %s', r);
    PERFORM pg_temp.expect(pg_temp.one('debit', 's-4', 's.a', '@fees', 15), 'OK', -5, 4),
            pg_temp.expect(pg_temp.one('close', 's-5', 's.a'), 'NOTEMPTY'),
            pg_temp.expect(pg_temp.one('credit', 's-6', 's.a', '@world', 5), 'OK', 0, 5);
    r := pg_temp.expect(pg_temp.one('close', 's-5', 's.a'), 'OK', 0, 6);
    ASSERT r.changed AND r.status = 'closed', format('close: %s', r);
    r := pg_temp.expect(pg_temp.one('close', 's-7', 's.a'), 'OK', 0, 6);
    ASSERT NOT r.changed, format('closed twice: %s', r);
    PERFORM pg_temp.expect(pg_temp.one('credit', 's-8', 's.a', '@world', 5), 'CLOSED', 0, 6),
            pg_temp.expect(pg_temp.one('debit', 's-8', 's.a', '@world', 5), 'CLOSED', 0, 6),
            pg_temp.expect(pg_temp.one('setfloor', 's-8', 's.a', amount => 5), 'CLOSED'),
            pg_temp.expect(pg_temp.one('setfloor', 's-8', 's.x', amount => 5), 'NOACCOUNT'),
            pg_temp.expect(pg_temp.one('close', 's-8', 's.x'), 'NOACCOUNT');
END
$$;
\echo ok setfloor and close

-- Suspension is not posted yet: the state is set as a DBA would, with the triggers off.
DO $$
BEGIN
    PERFORM pg_temp.open('u.a'), pg_temp.open('u.b'),
            pg_temp.one('credit', 'u-1', 'u.a', '@world', 10);
    SET LOCAL session_replication_role = replica;
    UPDATE ballast.account SET status = 'suspended' WHERE account_id = 'u.a';
    SET LOCAL session_replication_role = origin;
    PERFORM pg_temp.expect(pg_temp.one('credit', 'u-2', 'u.a', '@world', 10), 'OK', 20),
            pg_temp.expect(pg_temp.one('debit', 'u-3', 'u.a', '@world', 1), 'SUSPENDED'),
            pg_temp.expect(pg_temp.one('transfer', 'u-3', 'u.a', 'u.b', 1), 'SUSPENDED'),
            pg_temp.expect(pg_temp.one('setfloor', 'u-4', 'u.a', amount => 3), 'OK', 20);
    SET LOCAL session_replication_role = replica;
    UPDATE ballast.account SET status = 'active' WHERE account_id = 'u.a';
    UPDATE ballast.account_event SET status = 'active' WHERE account_id = 'u.a';
END
$$;
\echo ok a suspended account takes credits and no debits

DO $$
DECLARE
    got record;
    bad record;
BEGIN
    PERFORM pg_temp.open('f.a'), pg_temp.open('f.b');
    SELECT * INTO got FROM ballast.post('f-1', '@world', 'f.a', 100);
    ASSERT (got.outcome, got.balance, got.version, got.duplicate) = ('OK', 100, 2, false)
       AND got.transfer > 0, format('credit: %s', got);
    SELECT * INTO got FROM ballast.post('f-2', 'f.a', 'f.b', 40, 'rent');
    ASSERT (got.outcome, got.balance, got.version) = ('OK', 60, 3), format('transfer: %s', got);
    SELECT * INTO got FROM ballast.post('f-3', 'f.b', '@fees', 5);
    ASSERT (got.outcome, got.balance, got.version) = ('OK', 35, 3), format('debit: %s', got);
    SELECT * INTO got FROM ballast.post('f-3', 'f.b', '@fees', 5);
    ASSERT (got.outcome, got.balance, got.duplicate) = ('OK', 35, true), format('again: %s', got);
    ASSERT (pg_temp.one('credit', 'f-1', 'f.a', '@world', 100)).duplicate,
        'post() and a daemon''s CREDIT have different words';
    ASSERT (pg_temp.one('transfer', 'f-2', 'f.a', 'f.b', 40, 'rent')).duplicate,
        'post() and a daemon''s TRANSFER have different words';
    SELECT * INTO got FROM ballast.post('f-4', 'f.b', '@fees', 500);
    ASSERT got.outcome = 'INSUFFICIENT' AND got.transfer IS NULL, format('refused: %s', got);
    FOR bad IN SELECT * FROM (VALUES
        (NULL, '@world', 'f.a', 1), ('', '@world', 'f.a', 1), ('a b', '@world', 'f.a', 1),
        (repeat('k', 129), '@world', 'f.a', 1), ('f-5', '@world', '@fees', 1),
        ('f-5', 'f.a', 'f.a', 1), ('f-5', NULL, 'f.a', 1), ('f-5', '@world', 'f a', 1),
        ('f-5', '@world', '', 1), ('f-5', '@', 'f.a', 1), ('f-5', '@world', 'f.a', 0),
        ('f-5', '@world', 'f.a', -1), ('f-5', '@world', 'f.a', NULL),
        ('f-5', '@' || repeat('w', 64), 'f.a', 1)) AS x (key, payer, payee, amount)
    LOOP
        SELECT * INTO got FROM ballast.post(bad.key, bad.payer, bad.payee, bad.amount);
        ASSERT got.outcome = 'ERR', format('%s gave %s', bad, got);
    END LOOP;
END
$$;
\echo ok ballast.post()

BEGIN;
SET LOCAL synchronous_commit = off;
SELECT outcome FROM ballast.post('f-6', '@world', 'f.a', 1) \gset
DO $$
BEGIN
    ASSERT current_setting('synchronous_commit') = 'on', 'post() promised what a crash may undo';
END
$$;
COMMIT;
\echo ok post() commits synchronously
