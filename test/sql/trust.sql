-- The era and the leases: each step of the protocol as a compare-and-set.

DO $$
DECLARE
    e ballast.era_row;
BEGIN
    SELECT * INTO STRICT e FROM ballast.era_present();
    ASSERT (e.era_id, e.era_state) = (0, 'drained'), format('a new store has era %s', e);
    SELECT * INTO STRICT e FROM ballast.era_open(5, 6, 'n', 'run', 'repl');
    ASSERT e.era_id = 0, 'opened from an era that is not there';
    SELECT * INTO STRICT e FROM ballast.era_open(0, 0, 'n', 'run', 'repl');
    ASSERT e.era_state = 'drained', 'opened without a new id';
    SELECT * INTO STRICT e FROM ballast.era_open(0, 7, 'n', 'run', 'repl');
    ASSERT (e.era_id, e.era_nonce, e.era_state, e.era_run_id, e.era_replid)
        = (7, 'n', 'open', 'run', 'repl'), format('opened: %s', e);
    SELECT * INTO STRICT e FROM ballast.era_open(7, 8, 'n', 'run', 'repl');
    ASSERT (e.era_id, e.era_state) = (7, 'open'), 'opened from an open era';
    SELECT * INTO STRICT e FROM ballast.era_drain(7);
    ASSERT e.era_state = 'open', 'drained while open';
    SELECT * INTO STRICT e FROM ballast.era_close(6);
    ASSERT e.era_state = 'open', 'a stale closer closed a later era';
    SELECT * INTO STRICT e FROM ballast.era_close(7);
    ASSERT (e.era_id, e.era_state) = (7, 'closing'), format('closed: %s', e);
    SELECT * INTO STRICT e FROM ballast.era_drain(6);
    ASSERT e.era_state = 'closing', 'a stale closer drained a later era';
    SELECT * INTO STRICT e FROM ballast.era_drain(7);
    ASSERT e.era_state = 'drained', format('drained: %s', e);
END
$$;
\echo ok the era goes open, closing, drained, and only from where the caller saw it

-- A new timeline (T14) is played by a row that carries an older one.
DO $$
DECLARE
    e ballast.era_row;
    posted record;
BEGIN
    PERFORM ballast.era_open(7, 9, 'n', 'run', 'repl');
    UPDATE ballast.era SET timeline = '00000099', settled = '00000099', accepted = '00000099';
    SELECT * INTO STRICT e FROM ballast.era_drain(9);
    ASSERT (e.era_id, e.era_state) = (9 + 1048576, 'closing'),
        format('the first touch did not close above all that was granted: %s', e);
    BEGIN
        PERFORM ballast.post('t14', '@world', 'nobody', 1);
        ASSERT false, 'posted on a timeline that is not settled';
    EXCEPTION WHEN read_only_sql_transaction THEN NULL;
    END;
    PERFORM ballast.era_drain(9 + 1048576);
    BEGIN
        PERFORM ballast.post('t14', '@world', 'nobody', 1);
        ASSERT false, 'posted on a timeline that nobody accepted';
    EXCEPTION WHEN read_only_sql_transaction THEN NULL;
    END;
    ASSERT ballast.accept_timeline('test') AND NOT ballast.accept_timeline('test'),
        'accepted once';
    SELECT * INTO STRICT posted FROM ballast.post('t14', '@world', 'nobody', 1);
    ASSERT posted.outcome = 'NOACCOUNT', format('posting goes on: %s', posted);
END
$$;
\echo ok a new timeline closes the era, and nothing is posted until it is drained and accepted

-- A restore from files keeps the timeline: whoever knows more says so.
DO $$
DECLARE
    e ballast.era_row;
    last bigint;
BEGIN
    SELECT era_id INTO STRICT last FROM ballast.era_present();
    ASSERT (SELECT state FROM ballast.era_seen) = 'drained';
    SELECT * INTO STRICT e FROM ballast.era_rewound(last - 1);
    ASSERT (e.era_id, e.era_state) = (last, 'drained'), format('nothing is forgotten: %s', e);
    SELECT * INTO STRICT e FROM ballast.era_rewound(last + 3);
    ASSERT (e.era_id, e.era_nonce, e.era_state) = (last + 3 + 1048576, '', 'closing'),
        format('not closed above what is known: %s', e);
    SELECT * INTO STRICT e FROM ballast.era_rewound(last + 5);
    ASSERT e.era_id = last + 3 + 1048576, 'closed twice';
    PERFORM ballast.era_drain(e.era_id);
    BEGIN
        PERFORM ballast.post('t14', '@world', 'nobody', 1);
        ASSERT false, 'posted in books that nobody accepted';
    EXCEPTION WHEN read_only_sql_transaction THEN NULL;
    END;
    ASSERT ballast.accept_timeline('test'), 'not accepted';
    PERFORM ballast.post('t14', '@world', 'nobody', 1);
    -- Accepted, but not drained yet.
    SELECT * INTO STRICT e FROM ballast.era_rewound(e.era_id + 1);
    ASSERT ballast.accept_timeline('test'), 'not accepted';
    BEGIN
        PERFORM ballast.post('t14', '@world', 'nobody', 1);
        ASSERT false, 'posted before the era was drained';
    EXCEPTION WHEN read_only_sql_transaction THEN NULL;
    END;
    PERFORM ballast.era_drain(e.era_id);
    PERFORM ballast.post('t14', '@world', 'nobody', 1);
    -- What was drained on another timeline is not drained for a reader (T7 b).
    UPDATE ballast.era SET timeline = '00000099';
    ASSERT (SELECT state FROM ballast.era_seen) = 'closing', 'drained elsewhere';
    ASSERT (SELECT era_state FROM ballast.read_accounts(ARRAY['nobody'])) = 'closing',
        'a read believes what was drained elsewhere';
    UPDATE ballast.era SET timeline = ballast.timeline();
END
$$;
\echo ok a store that forgot an era closes above it, and nothing is posted until that is accepted

DO $$
DECLARE
    e ballast.era_row;
    last bigint;
BEGIN
    SELECT era_id INTO STRICT last FROM ballast.era_present();
    PERFORM ballast.era_open(last, last + 1, 'n', 'run', 'repl');
    SELECT * INTO STRICT e FROM ballast.cache_switch(true, 'test');
    ASSERT (e.era_state, e.era_switched_off) = ('closing', true), format('off: %s', e);
    PERFORM ballast.era_drain(last + 1);
    SELECT * INTO STRICT e FROM ballast.era_open(last + 1, last + 2, 'n', 'run', 'repl');
    ASSERT e.era_state = 'drained', 'opened while switched off';
    PERFORM ballast.cache_switch(false, 'test');
    SELECT * INTO STRICT e FROM ballast.era_open(last + 1, last + 2, 'n', 'run', 'repl');
    ASSERT (e.era_id, e.era_state, e.era_switched_off) = (last + 2, 'open', false),
        format('on: %s', e);
END
$$;
\echo ok the cache that is switched off stays off until it is switched on

DO $$
DECLARE
    own ballast.lease_row;
    old bigint;
    rows bigint;
    era bigint;
BEGIN
    SELECT * INTO STRICT own FROM ballast.lease_renew('d1', 'i1', 3, 'run', 'repl');
    ASSERT (own.daemon, own.renewals, own.seen, own.run_id, own.replid, own.fenced)
        = ('d1', 1, 3, 'run', 'repl', false), format('first: %s', own);
    ASSERT own.timeline = own.era_timeline AND own.timeline ~ '^[0-9A-F]{8}$',
        format('timeline %s, era''s %s', own.timeline, own.era_timeline);
    PERFORM ballast.lease_renew('d2', 'i9', 0, NULL, NULL);
    SELECT count(*) INTO rows FROM ballast.lease_renew('d1', 'i1', 2, NULL, NULL);
    ASSERT rows = 2, 'not every lease was returned';
    SELECT * INTO STRICT own FROM ballast.lease_renew('d1', 'i1', 2, NULL, NULL) AS r
     WHERE r.daemon = 'd1';
    ASSERT (own.renewals, own.seen) = (3, 3) AND own.run_id IS NULL, format('renewed: %s', own);
    SELECT * INTO STRICT own FROM ballast.lease_renew('d1', 'i2', 9, NULL, NULL) AS r
     WHERE r.daemon = 'd1';
    ASSERT own.fenced AND (own.renewals, own.seen) = (3, 3),
        format('another incarnation: %s', own);
    UPDATE ballast.lease SET fenced = true WHERE daemon = 'd1';
    SELECT * INTO STRICT own FROM ballast.lease_renew('d1', 'i1', 9, NULL, NULL) AS r
     WHERE r.daemon = 'd1';
    ASSERT own.fenced AND own.renewals = 3, format('fenced: %s', own);
    ASSERT ballast.lease_drop('d1') AND NOT ballast.lease_drop('d1'), 'dropped twice';
    SELECT id INTO STRICT era FROM ballast.era;
    PERFORM ballast.era_close(era);
    PERFORM ballast.era_drain(era);
    SELECT born INTO STRICT old FROM ballast.lease WHERE daemon = 'd2';
    ASSERT ballast.lease_expel('d2', old, 99, 0) IS NULL, 'expelled though it was renewed';
    ASSERT ballast.lease_expel('d2', old, 1, 0) = 0, 'not expelled';
    SELECT * INTO STRICT own FROM ballast.lease_renew('d2', 'i9', 0, NULL, NULL);
    ASSERT own.departed = 1 AND own.born > old AND own.renewals = 1, format('made anew: %s', own);
    ASSERT ballast.lease_expel('d2', old, 1, 0) IS NULL, 'another row was taken for the one that was';
    ASSERT ballast.lease_expel('d2', own.born, 1, 0) = 0, 'not expelled';
    ASSERT NOT EXISTS (SELECT FROM ballast.lease), 'a lease is left';
END
$$;
\echo ok leases are renewed by their incarnation only, never once fenced, and expelled as they were seen

-- T12: a daemon posts only while its lease stands; SQL that is no daemon's needs none.
DO $$
DECLARE
    outcome text;
BEGIN
    ASSERT ballast.health_of('poster') = 'no lease', ballast.health_of('poster');
    PERFORM ballast.lease_renew('poster', 'i1', 0, NULL, NULL);
    ASSERT ballast.health_of('poster') = 'not told', ballast.health_of('poster');
    PERFORM ballast.lease_renew('poster', 'i1', 0, NULL, NULL, 'cache degraded: refused');
    ASSERT ballast.health_of('poster') = 'cache degraded: refused', ballast.health_of('poster');
    UPDATE ballast.lease SET told_at = told_at - interval '3 s' WHERE daemon = 'poster';
    ASSERT ballast.health_of('poster') = 'told more than 2 s before: cache degraded: refused',
        ballast.health_of('poster');
    PERFORM set_config('ballast.lease', 'poster', true);
    SELECT r.outcome INTO STRICT outcome FROM ballast.post('t12', '@world', 'nobody', 1) AS r;
    ASSERT outcome = 'NOACCOUNT', format('with a lease: %s', outcome);
    UPDATE ballast.lease SET fenced = true;
    BEGIN
        PERFORM ballast.post('t12', '@world', 'nobody', 1);
        ASSERT false, 'posted with a lease that is fenced';
    EXCEPTION WHEN serialization_failure THEN NULL;
    END;
    DELETE FROM ballast.lease;
    BEGIN
        PERFORM ballast.post('t12', '@world', 'nobody', 1);
        ASSERT false, 'posted without a lease';
    EXCEPTION WHEN serialization_failure THEN NULL;
    END;
    PERFORM set_config('ballast.lease', '', true);
    PERFORM ballast.post('t12', '@world', 'nobody', 1);
END
$$;
\echo ok a daemon whose lease is gone posts nothing

-- T12: the take-over in an open era, with a table of more than one step.
SET session_replication_role = replica;
INSERT INTO ballast.account (account_id, asset, balance, version, opened_at, changed_at)
SELECT 'old-' || i, 'USD/2', 0, 1, now(), now() FROM generate_series(1, 90000) AS i;
DO $$ BEGIN PERFORM ballast.lease_renew('dead', 'i1', 0, NULL, NULL); END $$;
UPDATE ballast.account SET version = 2 WHERE account_id IN ('old-3', 'old-4');
-- It has published that, and tells so; then it changes others, and dies.
DO $$ BEGIN PERFORM ballast.lease_renew('dead', 'i1', 0, NULL, NULL, '',
                                        pg_current_xact_id()::text::bigint); END $$;
UPDATE ballast.account SET version = 2 WHERE account_id IN ('old-5', 'old-89999');
DO $$
DECLARE
    era bigint;
    own ballast.lease_row;
    next bigint;
BEGIN
    SELECT id INTO STRICT era FROM ballast.era;
    PERFORM ballast.era_open(era, era + 1, 'n', 'run', 'repl');
    SELECT * INTO STRICT own FROM ballast.lease_renew('lives', 'i2', 0, NULL, NULL) AS r
     WHERE r.daemon = 'dead';
    next := ballast.lease_expel('dead', own.born, 2, 0);
    ASSERT next > 0 AND (SELECT fenced FROM ballast.lease WHERE daemon = 'dead'), 'no fence';
    SELECT * INTO STRICT own FROM ballast.lease_renew('dead', 'i1', 0, NULL, NULL) AS r
     WHERE r.daemon = 'dead';
    ASSERT own.fenced AND own.renewals = 2, format('renewed behind the fence: %s', own);
    WHILE next > 0 LOOP
        next := ballast.lease_expel('dead', own.born, 2, next);
    END LOOP;
    ASSERT next = 0 AND NOT EXISTS (SELECT FROM ballast.lease WHERE daemon = 'dead'), 'it stands';
    ASSERT (SELECT array_agg(account_id ORDER BY account_id) FROM ballast.announcement
             WHERE account_id LIKE 'old-%') = '{old-5,old-89999}',
        (SELECT string_agg(account_id, ' ') FROM ballast.announcement);
    ASSERT (SELECT (e.id, e.state) = (era + 1, 'open') FROM ballast.era AS e), 'the era was closed';
    PERFORM ballast.lease_drop('lives');
    PERFORM ballast.era_close(era + 1), ballast.era_drain(era + 1);
    DELETE FROM ballast.announcement WHERE account_id LIKE 'old-%';
END
$$;
DELETE FROM ballast.account WHERE account_id LIKE 'old-%';
RESET session_replication_role;
\echo ok a dead daemon is fenced, what it may not have published is announced, and the era stays open
