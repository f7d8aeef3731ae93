-- What is decided against a customer: suspensions, denials, charges; the record of it, the fuses,
-- and the state machines, which no hand may break.

\ir one.psql

DO $$
DECLARE
    r ballast.post_result;
    hold bigint;
BEGIN
    PERFORM pg_temp.open('d.ann'), pg_temp.one('credit', 'xd-1', 'd.ann', '@world', 100);
    r := pg_temp.expect(pg_temp.one('suspend', 'xd-2', 'd.ann', memo => 'ifbelow'), 'OK', 100, 2);
    ASSERT r.status = 'active' AND NOT r.changed, 'suspended though it is not below';
    r := pg_temp.expect(pg_temp.one('suspend', 'xd-2', 'd.ann', memo => 'ifbelow'), 'OK', 100, 2);
    ASSERT r.duplicate AND NOT r.changed AND r.status = 'active', r::text;
    PERFORM pg_temp.expect(pg_temp.one('suspend', 'xd-2', 'd.ann'), 'KEYREUSED'),
            pg_temp.one('setfloor', 'xd-3', 'd.ann', amount => 101);
    r := pg_temp.expect(pg_temp.one('suspend', 'xd-4', 'd.ann', memo => 'ifbelow'), 'OK', 100, 4);
    ASSERT r.status = 'suspended' AND r.changed, r::text;
    r := pg_temp.expect(pg_temp.one('suspend', 'xd-5', 'd.ann'), 'OK', 100, 4);
    ASSERT NOT r.changed, 'suspended twice';
    ASSERT (SELECT array_agg(format('%s %s %s %s %s %s', d.balance, d.held, d.floor, d.version,
                                    d.key, d.detail)) = ARRAY['100 0 101 3 xd-4 ifbelow']
              FROM ballast.decision AS d WHERE d.kind = 'suspend' AND d.account_id = 'd.ann'),
        'the evidence of the suspension';
    PERFORM pg_temp.one('setfloor', 'xd-6', 'd.ann', amount => 0),
            pg_temp.expect(pg_temp.one('debit', 'xd-7', 'd.ann', '@world', 1), 'SUSPENDED'),
            pg_temp.expect(pg_temp.one('hold', 'xd-7', 'd.ann', amount => 1), 'SUSPENDED'),
            pg_temp.expect(pg_temp.one('credit', 'xd-7', 'd.ann', '@world', 1), 'OK', 101, 6);
    r := pg_temp.expect(pg_temp.one('resume', 'xd-8', 'd.ann'), 'OK', 101, 7);
    ASSERT r.status = 'active' AND r.changed, r::text;
    r := pg_temp.expect(pg_temp.one('resume', 'xd-9', 'd.ann'), 'OK', 101, 7);
    ASSERT NOT r.changed, 'resumed twice';
    -- Below is what is available, not the balance.
    hold := (pg_temp.one('hold', 'xd-14', 'd.ann', amount => 52)).id;
    PERFORM pg_temp.one('setfloor', 'xd-13', 'd.ann', amount => 50);
    r := pg_temp.expect(pg_temp.one('suspend', 'xd-15', 'd.ann', memo => 'ifbelow'), 'OK', 101, 10);
    ASSERT r.status = 'suspended', r::text;
    PERFORM pg_temp.one('resume', 'xd-16', 'd.ann'),
            pg_temp.one('release', 'xd-17', NULL, target => hold),
            pg_temp.one('setfloor', 'xd-18', 'd.ann', amount => 0);
    PERFORM pg_temp.one('debit', 'xd-10', 'd.ann', '@world', 101),
            pg_temp.expect(pg_temp.one('close', 'xd-11', 'd.ann'), 'OK', 0, 15),
            pg_temp.expect(pg_temp.one('suspend', 'xd-12', 'd.ann'), 'CLOSED'),
            pg_temp.expect(pg_temp.one('resume', 'xd-12', 'd.ann'), 'CLOSED'),
            pg_temp.expect(pg_temp.one('suspend', 'xd-12', 'd.nobody'), 'NOACCOUNT'),
            pg_temp.expect(pg_temp.one('suspend', 'xd-12', '@world'), 'ERR'),
            pg_temp.expect(pg_temp.one('suspend', 'xd-12', 'd.ann', memo => 'x'), 'ERR');
END
$$;
\echo ok suspend and resume

DO $$
DECLARE
    r ballast.post_result;
BEGIN
    PERFORM pg_temp.open('d.spend'), pg_temp.one('credit', 'xs-1', 'd.spend', '@world', 10),
            pg_temp.expect(pg_temp.one('canspend', NULL, 'd.spend', amount => 10), 'OK', 10, 2),
            pg_temp.expect(pg_temp.one('canspend', NULL, 'd.spend', amount => 11), 'INSUFFICIENT',
                           10, 2),
            pg_temp.expect(pg_temp.one('canspend', NULL, 'd.nobody', amount => 1), 'NOACCOUNT'),
            pg_temp.expect(pg_temp.one('canspend', NULL, 'd.spend', amount => 0), 'ERR'),
            pg_temp.one('suspend', 'xs-2', 'd.spend'),
            pg_temp.expect(pg_temp.one('canspend', NULL, 'd.spend', amount => 1), 'SUSPENDED', 10,
                           3);
    ASSERT (SELECT array_agg(format('%s %s %s %s', d.amount, d.balance, d.version, d.detail)
                             ORDER BY d.decision)
              FROM ballast.decision AS d WHERE d.kind = 'deny' AND d.account_id = 'd.spend')
           = ARRAY['11 10 2 INSUFFICIENT', '1 10 3 SUSPENDED'], 'the record of denials';
END
$$;
\echo ok canspend, and the record of denials

DO $$
DECLARE
    r ballast.post_result;
    charge bigint;
    money bigint;
BEGIN
    PERFORM pg_temp.open('c.ann'), pg_temp.one('credit', 'xc-1', 'c.ann', '@world', 100),
            pg_temp.expect(pg_temp.one('charge', 'xc-2', 'c.ann', amount => 500), 'NOTDUE', 100, 2),
            pg_temp.expect(pg_temp.one('charge', 'xc-2', 'c.ann', amount => 500, target => 100),
                           'NOTDUE');
    r := pg_temp.expect(pg_temp.one('charge', 'xc-2', 'c.ann', amount => 500, target => 101), 'OK',
                        100, 2);
    charge := r.id;
    ASSERT charge > 0 AND NOT r.duplicate, r::text;
    r := pg_temp.expect(pg_temp.one('charge', 'xc-2', 'c.ann', amount => 500, target => 101), 'OK',
                        100, 2);
    ASSERT r.duplicate AND r.id = charge, r::text;
    PERFORM pg_temp.expect(pg_temp.one('charge', 'xc-3', 'c.ann', amount => 500, target => 101),
                           'OPENCHARGE'),
            pg_temp.one('debit', 'xc-4', 'c.ann', '@world', 100),
            pg_temp.expect(pg_temp.one('close', 'xc-5', 'c.ann'), 'OPENCHARGE'),
            pg_temp.expect(pg_temp.one('settle', 'xc-5', NULL, memo => 'failed', target => 10000000000),
                           'NOCHARGE');
    r := pg_temp.expect(pg_temp.one('settle', 'xc-6', NULL, memo => 'unknown', target => charge),
                        'OK', 0, 3);
    PERFORM pg_temp.expect(pg_temp.one('charge', 'xc-7', 'c.ann', amount => 500, target => 101),
                           'OPENCHARGE');
    r := pg_temp.expect(pg_temp.one('settle', 'xc-8', NULL, memo => 'succeeded', target => charge),
                        'OK', 500, 4);
    money := r.id;
    ASSERT r.account = 'c.ann' AND NOT r.duplicate, r::text;
    ASSERT (SELECT (t.kind, t.amount, t.from_account, t.memo IS NULL)
                   = ('settle', 500::bigint, '@world', true)
              FROM ballast.transfer AS t WHERE t.transfer = money), 'the credit of the charge';
    PERFORM pg_temp.one('debit', 'xc-9', 'c.ann', '@world', 500);
    -- Late and repeated answers of the processor, under the same key and under others.
    FOR n IN 1 .. 3 LOOP
        r := pg_temp.expect(pg_temp.one('settle', (ARRAY['xc-8', 'xc-10', 'xc-10'])[n], NULL,
                                        memo => 'succeeded', target => charge), 'OK', 500, 4);
        ASSERT r.duplicate AND r.account = 'c.ann', r::text;
    END LOOP;
    PERFORM pg_temp.expect(pg_temp.one('settle', 'xc-11', NULL, memo => 'failed', target => charge),
                           'SETTLED'),
            pg_temp.expect(pg_temp.one('settle', 'xc-11', NULL, memo => 'unknown',
                                       target => charge), 'SETTLED'),
            pg_temp.expect(pg_temp.one('credit', 'xc-10', 'c.ann', '@world', 1), 'KEYREUSED');

    charge := (pg_temp.one('charge', 'xc-12', 'c.ann', amount => 5, target => 1)).id;
    PERFORM pg_temp.expect(pg_temp.one('settle', 'xc-13', NULL, memo => 'failed', target => charge),
                           'OK', 0, 5),
            pg_temp.expect(pg_temp.one('settle', 'xc-13', NULL, memo => 'failed', target => charge),
                           'OK', 0, 5),
            pg_temp.expect(pg_temp.one('settle', 'xc-14', NULL, memo => 'succeeded',
                                       target => charge), 'SETTLED', 0, 5),
            pg_temp.expect(pg_temp.one('settle', 'xc-14', NULL, memo => 'x', target => charge),
                           'ERR'),
            pg_temp.expect(pg_temp.one('settle', 'xc-14', NULL, memo => 'failed'), 'ERR'),
            pg_temp.expect(pg_temp.one('charge', 'xc-14', 'c.ann', amount => 0), 'ERR');
    ASSERT (SELECT array_agg(format('%s %s %s %s', d.kind, d.balance, d.version, d.detail)
                             ORDER BY d.decision)
              FROM ballast.decision AS d WHERE d.account_id = 'c.ann')
           = ARRAY['charge 100 2 threshold 101', 'settle 0 3 unknown', 'settle 0 3 succeeded',
                   'charge 0 5 threshold 1', 'settle 0 5 failed'], 'the record of charges';
    PERFORM pg_temp.expect(pg_temp.one('close', 'xc-15', 'c.ann'), 'OK', 0, 6);
END
$$;
\echo ok charges are begun once, settled once, and recorded

-- Several operations of one batch about the same things.
DO $$
DECLARE
    outcomes text[];
    charge bigint;
BEGIN
    PERFORM pg_temp.open('c.batch');
    charge := (pg_temp.one('charge', 'xb-0', 'c.batch', amount => 7, target => 1)).id;
    outcomes := ARRAY(
        SELECT format('%s%s %s', r.outcome, CASE WHEN r.duplicate THEN '+' END, r.balance)
          FROM ballast.post_batch(
               ARRAY['settle', 'settle', 'settle', 'settle', 'charge', 'charge', 'suspend',
                     'suspend'],
               ARRAY['xb-1', 'xb-2', 'xb-3', 'xb-4', 'xb-5', 'xb-6', 'xb-7', 'xb-8'],
               ARRAY[NULL, NULL, NULL, NULL, 'c.batch', 'c.batch', 'c.batch', 'c.batch'],
               array_fill(NULL::text, ARRAY[8]), array_fill(NULL::text, ARRAY[8]),
               ARRAY[NULL, NULL, NULL, NULL, 3, 3, NULL, NULL]::bigint[],
               ARRAY[charge, charge, charge, charge, 8, 8, NULL, NULL]::bigint[],
               ARRAY['unknown', 'succeeded', 'succeeded', 'failed', NULL, NULL, NULL, NULL],
               ARRAY[0, 1, 2, 3, 4, 5, 6, 7]) AS r
         WHERE r.part = 0 ORDER BY r.op);
    ASSERT outcomes = ARRAY['OK 0', 'OK 7', 'OK+ 7', 'SETTLED 7', 'OK 7', 'OPENCHARGE 7', 'OK 7',
                            'OK 7'], outcomes::text;
    ASSERT (SELECT count(*) = 1 FROM ballast.transfer AS t WHERE t.to_account = 'c.batch'),
        'the charge was paid once';
END
$$;
\echo ok a batch that begins, settles and suspends

DO $$
DECLARE
    attempt text;
    charge bigint;
    hold bigint;
BEGIN
    PERFORM pg_temp.open('m.ann'), pg_temp.one('credit', 'xm-1', 'm.ann', '@world', 10);
    charge := (pg_temp.one('charge', 'xm-2', 'm.ann', amount => 7, target => 11)).id;
    hold := (pg_temp.one('hold', 'xm-3', 'm.ann', amount => 7)).id;
    PERFORM pg_temp.one('settle', 'xm-4', NULL, memo => 'failed', target => charge),
            pg_temp.one('release', 'xm-5', NULL, target => hold),
            pg_temp.open('m.closed'), pg_temp.one('close', 'xm-6', 'm.closed');
    FOREACH attempt IN ARRAY ARRAY[
        'UPDATE ballast.charge SET state = ''begun''',
        'UPDATE ballast.charge SET state = ''succeeded'', transfer = 1',
        -- Rows that are sound as rows, and come from where they must not.
        'UPDATE ballast.charge SET state = ''begun'', settled_at = NULL, settled_version = NULL '
            'WHERE state = ''failed'' AND account_id = ''m.ann''',
        'UPDATE ballast.charge SET state = ''failed'', transfer = NULL '
            'WHERE state = ''succeeded'' AND account_id = ''c.ann''',
        'DELETE FROM ballast.charge', 'UPDATE ballast.charge SET amount = amount + 1',
        'INSERT INTO ballast.charge SELECT charge + 10^6, amount, threshold, balance, held, '
            'version, settled_version, transfer, begun_at, settled_at, account_id, state '
            'FROM ballast.charge WHERE state = ''failed''',
        'INSERT INTO ballast.charge SELECT charge + 10^6, amount, 0, 0, 0, 1, NULL, NULL, now(), '
            'NULL, account_id, ''begun'' FROM ballast.charge',
        'UPDATE ballast.hold SET state = ''held'', ended_at = NULL WHERE state = ''released''',
        'UPDATE ballast.hold SET state = ''captured'', transfer = 1 WHERE state = ''released''',
        'UPDATE ballast.hold SET amount = amount + 1', 'DELETE FROM ballast.hold',
        'INSERT INTO ballast.hold SELECT hold + 10^6, amount, version, transfer, released_version, begun_at, '
            'expires, ended_at, account_id, state FROM ballast.hold WHERE state = ''released''',
        'INSERT INTO ballast.decision (kind, account_id, balance, held, floor, status, daemon, era, '
            'era_state, health) VALUES (''suspend'', ''m.ann'', 1, 0, 0, ''active'', ''d'', 0, ''open'', '
            '''ok'')',
        'UPDATE ballast.account SET status = ''active'' WHERE status = ''closed''',
        'INSERT INTO ballast.account (account_id, asset, balance, version, opened_at, changed_at, '
            'status) VALUES (''m.born'', ''USD/2'', 0, 1, now(), now(), ''suspended'')']
    LOOP
        BEGIN
            SET LOCAL ROLE ballast_owner;
            EXECUTE attempt;
            RAISE EXCEPTION 'the owner could run: %', attempt USING ERRCODE = 'P0004';
        EXCEPTION WHEN check_violation THEN
            NULL;
        END;
        RESET ROLE;
        BEGIN
            EXECUTE attempt;
            RAISE EXCEPTION 'a superuser could run: %', attempt USING ERRCODE = 'P0004';
        EXCEPTION WHEN insufficient_privilege OR check_violation THEN
            NULL;
        END;
    END LOOP;
    FOREACH attempt IN ARRAY ARRAY[
        'DELETE FROM ballast.decision', 'UPDATE ballast.decision SET balance = 0',
        'TRUNCATE ballast.decision', 'UPDATE ballast.fuse SET state = ''whole''',
        'DELETE FROM ballast.fuse']
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
\echo ok forbidden transitions are refused by the tables themselves

DO $$
BEGIN
    SET LOCAL ROLE ballast_owner;
    INSERT INTO ballast.charge (charge, amount, threshold, balance, held, version, begun_at,
                                account_id)
    SELECT c.charge + 10^6, c.amount, c.threshold, c.balance, c.held, c.version, now(), c.account_id
      FROM ballast.charge AS c WHERE c.account_id = 'c.batch' AND c.state = 'begun';
    RAISE EXCEPTION 'a second open charge could be written' USING ERRCODE = 'P0004';
EXCEPTION WHEN unique_violation THEN
    NULL;
END
$$;
\echo ok the table takes one open charge of an account

DO $$
DECLARE
    kept bigint;
BEGIN
    SET LOCAL session_replication_role = replica;
    UPDATE ballast.decision SET at = at - interval '5 days' WHERE kind <> 'fuse';
    SET LOCAL session_replication_role = origin;
    SELECT count(*) INTO STRICT kept FROM ballast.decision WHERE kind <> 'deny';
    ASSERT ballast.prune_denials(6, 10) = 0, 'what is younger was pruned';
    ASSERT ballast.prune_denials(5, 1) = 1 AND ballast.prune_denials(5, 100) = 1
       AND ballast.prune_denials(5, 100) = 0, 'the denials of 5 days ago';
    ASSERT (SELECT count(*) = kept FROM ballast.decision), 'only denials are pruned';
    -- Nobody prunes anything else, nor what is from today.
    PERFORM pg_temp.one('canspend', NULL, 'd.spend', amount => 1);
    FOR n IN 1 .. 2 LOOP
        BEGIN
            SET LOCAL ROLE ballast_owner;
            IF n = 1 THEN
                DELETE FROM ballast.decision WHERE kind = 'deny';
            ELSE
                DELETE FROM ballast.decision WHERE kind = 'suspend';
            END IF;
            RAISE EXCEPTION 'the owner could prune' USING ERRCODE = 'P0004';
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;
        END;
        RESET ROLE;
    END LOOP;
    BEGIN
        PERFORM ballast.prune_denials(0, 10);
        RAISE EXCEPTION 'pruned a denial of today' USING ERRCODE = 'P0004';
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
END
$$;
\echo ok denials of long ago are pruned, and nothing else

DO $$
DECLARE
    r ballast.post_result;
    charge bigint;
BEGIN
    PERFORM ballast.reset_fuse('suspensions', 'test', 'a clean start'),
            ballast.reset_fuse('charges', 'test', 'a clean start'),
            set_config('ballast.fuses', 'charges=2,0 suspensions=3,0 window=600', true);
    FOR n IN 1 .. 5 LOOP
        PERFORM pg_temp.open('f.' || n),
                pg_temp.expect(pg_temp.one('suspend', 'xf-s' || n, 'f.' || n),
                               CASE WHEN n <= 3 THEN 'OK' ELSE 'FUSE' END),
                pg_temp.expect(pg_temp.one('charge', 'xf-c' || n, 'f.' || n, amount => 1,
                                           target => 1),
                               CASE WHEN n <= 2 THEN 'OK' ELSE 'FUSE' END);
    END LOOP;
    ASSERT (SELECT array_agg(f.name || ' ' || f.state || ' ' || f.counted ORDER BY f.name)
              FROM ballast.fuse_states() AS f) = ARRAY['charges blown 2', 'suspensions blown 3'],
        'both fuses are blown';
    ASSERT (SELECT array_agg(d.detail ORDER BY d.decision)
              FROM (SELECT * FROM ballast.decision WHERE kind = 'fuse'
                     ORDER BY decision DESC LIMIT 2) AS d)
           = ARRAY['charges blown: more than 2 in 600 s', 'suspensions blown: more than 3 in 600 s'],
        'the record of blown fuses';
    -- Neither what changes nothing nor what is no decision against anybody goes through a fuse.
    charge := (SELECT max(c.charge) FROM ballast.charge AS c WHERE c.account_id = 'f.1');
    r := pg_temp.expect(pg_temp.one('suspend', 'xf-1', 'f.4', memo => 'ifbelow'), 'OK');
    ASSERT NOT r.changed, 'f.4 was suspended';
    PERFORM pg_temp.expect(pg_temp.one('suspend', 'xf-2', 'f.1'), 'OK'),
            pg_temp.expect(pg_temp.one('suspend', 'xf-s1', 'f.1'), 'OK'),
            pg_temp.expect(pg_temp.one('settle', 'xf-3', NULL, memo => 'failed', target => charge),
                           'OK'),
            pg_temp.expect(pg_temp.one('resume', 'xf-4', 'f.1'), 'OK');
    -- Larger limits do not mend it; an operator does, and the count begins anew.
    PERFORM set_config('ballast.fuses', 'charges=50,0 suspensions=50,0 window=600', true),
            pg_temp.expect(pg_temp.one('suspend', 'xf-s4', 'f.4'), 'FUSE');
    ASSERT ballast.reset_fuse('suspensions', 'ops@host', 'looked at it'), 'it was blown';
    ASSERT NOT ballast.reset_fuse('suspensions', 'ops@host', 'twice'), 'it was blown still';
    PERFORM pg_temp.expect(pg_temp.one('suspend', 'xf-s4', 'f.4'), 'OK'),
            pg_temp.expect(pg_temp.one('charge', 'xf-c4', 'f.4', amount => 1, target => 1), 'FUSE'),
            ballast.reset_fuse('charges', 'ops@host', 'the end');
    ASSERT (SELECT array_agg(d.detail ORDER BY d.decision)
              FROM (SELECT * FROM ballast.decision WHERE kind = 'fuse'
                     ORDER BY decision DESC LIMIT 3) AS d)
           = ARRAY['suspensions reset by ops@host, was blown: looked at it',
                   'suspensions reset by ops@host, was whole: twice',
                   'charges reset by ops@host, was blown: the end'], 'the record of resets';
    ASSERT (SELECT f.counted = 1 AND f.note = 'reset by ops@host: twice'
              FROM ballast.fuse_states() AS f WHERE f.name = 'suspensions'), 'after the reset';
END
$$;
\echo ok fuses blow, refuse and are reset

DO $$
BEGIN
    PERFORM set_config('ballast.fuses', 'charges=3,0 suspensions=3,50 window=600', true);
    ANALYZE ballast.account;
    ASSERT (SELECT array_agg(f.allowed ORDER BY f.name)
              FROM ballast.fuse_states() AS f)
           = ARRAY[3, (SELECT greatest(3, (count(*) / 2.0)::bigint) FROM ballast.account)]
       AND (SELECT count(*) > 8 FROM ballast.account), 'the greater of a number and a share';
    ASSERT (SELECT f.counted = 1 FROM ballast.fuse_states() AS f WHERE f.name = 'suspensions'),
        'a suspension within the window';
    PERFORM set_config('ballast.fuses', 'charges=3,0 suspensions=3,50 window=0.000001', true);
    ASSERT (SELECT f.counted = 0 FROM ballast.fuse_states() AS f WHERE f.name = 'suspensions'),
        'a suspension before the window';
END
$$;
\echo ok a fuse counts what its window holds, up to a number or a share of the accounts
