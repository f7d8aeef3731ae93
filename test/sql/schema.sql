-- Who may do what, and what nobody may.

DO $$
DECLARE
    attempt text;
BEGIN
    PERFORM ballast.post_batch(ARRAY['open', 'credit'], ARRAY[NULL, 'guard-1'],
        ARRAY['guarded', 'guarded'], ARRAY[NULL, '@world'], ARRAY['USD/2', NULL],
        ARRAY[0, 100]::bigint[], ARRAY[NULL, NULL]::bigint[], ARRAY[NULL, NULL], ARRAY[0, 1]);
    FOREACH attempt IN ARRAY ARRAY[
        'UPDATE ballast.account SET balance = balance + 1 WHERE account_id = ''guarded''',
        'INSERT INTO ballast.account SELECT ''other'', asset, balance FROM ballast.account',
        'DELETE FROM ballast.account', 'TRUNCATE ballast.account',
        'INSERT INTO ballast.transfer SELECT * FROM ballast.transfer',
        'UPDATE ballast.transfer SET amount = amount', 'DELETE FROM ballast.transfer',
        'TRUNCATE ballast.transfer', 'UPDATE ballast.account_event SET floor = 1',
        'DELETE FROM ballast.account_event', 'TRUNCATE ballast.account_event',
        'INSERT INTO ballast.account_event SELECT * FROM ballast.account_event',
        'DELETE FROM ballast.mutation', 'UPDATE ballast.reversal SET amount = 1']
    LOOP
        BEGIN
            EXECUTE attempt;
            RAISE EXCEPTION 'a superuser could run: %', attempt USING ERRCODE = 'P0004';
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
    END LOOP;
END
$$;
\echo ok money is written by the posting functions only, by superusers too

DO $$
BEGIN
    SET LOCAL ROLE ballast_owner;
    BEGIN
        UPDATE ballast.transfer SET amount = 1;
        RAISE EXCEPTION 'the owner could rewrite the journal' USING ERRCODE = 'P0004';
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
    BEGIN
        DELETE FROM ballast.account_event;
        RAISE EXCEPTION 'the owner could delete events' USING ERRCODE = 'P0004';
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
END
$$;
\echo ok the journal is append-only for its owner

DO $$
DECLARE
    attempt text;
BEGIN
    SET LOCAL ROLE ballast_owner;
    FOREACH attempt IN ARRAY ARRAY[
        'UPDATE ballast.account SET account_id = ''renamed'' WHERE account_id = ''guarded''',
        'UPDATE ballast.account SET asset = ''EUR/2'' WHERE account_id = ''guarded''',
        'UPDATE ballast.account SET status = ''frozen'' WHERE account_id = ''guarded''',
        'UPDATE ballast.account SET held = -1 WHERE account_id = ''guarded''',
        'UPDATE ballast.account SET version = 0 WHERE account_id = ''guarded''',
        'INSERT INTO ballast.account (account_id, asset, balance, version, opened_at, changed_at) '
            'VALUES (''no/slashes'', ''USD/2'', 0, 1, now(), now())',
        'INSERT INTO ballast.account (account_id, asset, balance, version, opened_at, changed_at) '
            'VALUES (''fine'', ''USD/19'', 0, 1, now(), now())',
        'INSERT INTO ballast.mutation (key, kind, fingerprint) VALUES ('''', ''credit'', 0)',
        'INSERT INTO ballast.mutation (key, kind, fingerprint) '
            'VALUES (repeat(''k'', 129), ''credit'', 0)',
        'INSERT INTO ballast.transfer (transfer, amount, to_version, at, kind, key, asset, '
            'from_account, to_account) '
            'VALUES (0, 0, 1000, now(), ''credit'', ''none'', ''USD/2'', ''@world'', ''guarded'')',
        'INSERT INTO ballast.reversal (transfer, amount, leg) VALUES (0, 0, 0)',
        'INSERT INTO ballast.hold (hold, amount, version, begun_at, expires, account_id) '
            'VALUES (0, 0, 1, now(), now(), ''guarded'')']
    LOOP
        BEGIN
            EXECUTE attempt;
            RAISE EXCEPTION 'the owner could run: %', attempt USING ERRCODE = 'P0004';
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
    END LOOP;
END
$$;
\echo ok rows are well formed

DO $$
DECLARE
    found text;
BEGIN
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO found
      FROM pg_proc AS p
     WHERE p.pronamespace = 'ballast'::regnamespace
       AND has_function_privilege('public', p.oid, 'EXECUTE');
    ASSERT found IS NULL, 'PUBLIC may execute ' || found;
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO found
      FROM pg_proc AS p
     WHERE p.pronamespace = 'ballast'::regnamespace AND p.prosecdef
       AND NOT coalesce(p.proconfig, '{}') @> ARRAY['search_path=ballast, pg_temp'];
    ASSERT found IS NULL, 'definer functions without a fixed search_path: ' || found;
    SELECT string_agg(p.oid::regprocedure::text, ', ') INTO found
      FROM pg_proc AS p
     WHERE p.pronamespace = 'ballast'::regnamespace
       AND pg_get_userbyid(p.proowner) <> 'ballast_owner';
    ASSERT found IS NULL, 'not ballast_owner''s: ' || found;
    SELECT string_agg(c.oid::regclass::text, ', ') INTO found
      FROM pg_class AS c
     WHERE c.relnamespace = 'ballast'::regnamespace
       AND pg_get_userbyid(c.relowner) <> 'ballast_owner';
    ASSERT found IS NULL, 'not ballast_owner''s: ' || found;
    SELECT string_agg(c.oid::regclass || ' to ' || r.rolname, ', ') INTO found
      FROM pg_class AS c,
           (VALUES ('ballast_daemon'), ('ballast_auditor'), ('ballast_poster')) AS r (rolname)
     WHERE c.relnamespace = 'ballast'::regnamespace AND c.relkind = 'r'
       AND has_table_privilege(r.rolname, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE');
    ASSERT found IS NULL, 'writable: ' || found;
    ASSERT has_function_privilege('ballast_poster',
        'ballast.post(text, text, text, bigint, text)', 'EXECUTE'), 'ballast_poster cannot post';
    ASSERT NOT has_table_privilege('ballast_auditor', 'ballast.setting', 'SELECT'),
        'the auditor may read the key of the checksum';
END
$$;
\echo ok privileges

DO $$
DECLARE
    got record;
BEGIN
    SET LOCAL ROLE ballast_poster;
    SELECT * INTO got FROM ballast.post('guard-2', '@world', 'guarded', 5);
    ASSERT got.outcome = 'OK' AND got.balance = 105, format('ballast_poster: %s', got);
    RESET ROLE;
    SET LOCAL ROLE ballast_daemon;
    PERFORM ballast.post_batch(ARRAY['credit'], ARRAY['guard-3'], ARRAY['guarded'],
        ARRAY['@world'], ARRAY[NULL], ARRAY[5]::bigint[], ARRAY[NULL]::bigint[], ARRAY[NULL],
        ARRAY[0]);
    PERFORM ballast.lease_renew('d', 'i', 0, NULL, NULL), ballast.lease_drop('d');
    ASSERT (SELECT balance FROM ballast.account WHERE account_id = 'guarded') = 110,
        'ballast_daemon did not post';
END
$$;
\echo ok posting under the granted roles

DO $$
DECLARE
    indexes bigint;
BEGIN
    SELECT count(*) INTO indexes FROM pg_index WHERE indrelid = 'ballast.transfer'::regclass;
    ASSERT indexes = 3, format('the journal has %s indexes, not 3', indexes);
    SELECT count(*) INTO indexes FROM pg_index
     WHERE indrelid IN ('ballast.account'::regclass, 'ballast.mutation'::regclass);
    ASSERT indexes = 2, format('account and mutation have %s indexes, not one each', indexes);
    ASSERT (SELECT value ~ '^[0-9a-f]{32}$' FROM ballast.setting WHERE name = 'mac_key'),
        'mac_key is not 32 hex digits';
END
$$;
\echo ok indexes and settings
