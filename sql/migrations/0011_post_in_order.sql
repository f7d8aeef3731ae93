SET LOCAL ROLE ballast_owner;

-- Plays a batch in array order; see the head of 0002_posting.sql. Arrays as for post_batch.
--
-- l_* have one element a leg: a movement has one, an mtransfer and its reverse one for each of
-- theirs, an operation without money one that names its account as the payer. o_* have one element
-- an operation, a_* one a non-system account. Legs name accounts by their place in a_* (0: a system
-- account). t_* are of the hold or charge that an operation is about, kept at the place of the first
-- operation of the batch that is about it.
-- An array element costs a tenth of a microsecond, a statement a row five: hence the arrays.
CREATE FUNCTION ballast.post_in_order(
    p_kind text[], p_key text[], p_account text[], p_peer text[], p_asset text[],
    p_amount bigint[], p_target bigint[], p_memo text[], p_op integer[])
RETURNS SETOF ballast.post_result
LANGUAGE plpgsql
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    int64_max CONSTANT bigint := 9223372036854775807;
    -- Holds that one transaction ends: some 60 ms, in which its accounts are locked.
    holds_max CONSTANT bigint := 1000;
    l_op integer[]; l_row integer[]; l_payer text[]; l_payee text[]; l_amount bigint[];
    l_target_leg smallint[]; l_target_kind text[]; l_left bigint[]; l_left_at integer[];
    l_error text[]; l_words text[]; l_from integer[]; l_to integer[]; l_at timestamptz[];
    l_from_version bigint[]; l_from_balance bigint[]; l_from_held bigint[]; l_from_floor bigint[];
    l_to_version bigint[]; l_to_balance bigint[]; l_to_held bigint[]; l_to_floor bigint[];
    l_to_status text[];
    o_op integer[]; o_kind text[]; o_key text[]; o_row integer[]; o_leg integer[];
    o_last_leg integer[]; o_error text[]; o_fingerprint bigint[]; o_key_at integer[];
    o_id bigint[]; o_made bigint[]; o_multi boolean[]; o_names_payer boolean[];
    o_at timestamptz[];
    -- Of the key that the operation is the first to use: who owns it (0 nobody yet, -1 a mutation
    -- of an earlier batch, else an operation of this one), and what that did.
    o_owner integer[]; o_known_fingerprint bigint[]; o_known_id bigint[]; o_known_made bigint[];
    o_known_account text[]; o_known_version bigint[]; o_known_changed boolean[];
    o_outcome text[]; o_detail text[]; o_duplicate boolean[]; o_changed boolean[];
    o_slot integer[]; o_balance bigint[]; o_held bigint[]; o_floor bigint[]; o_status text[];
    o_version bigint[];
    a_id text[]; a_asset text[]; a_balance bigint[]; a_held bigint[]; a_floor bigint[];
    a_status text[]; a_version bigint[]; a_loaded_version bigint[]; a_changed_at timestamptz[];
    a_opening_floor bigint[]; a_tid tid[]; a_charge bigint[];
    a_due bigint[];
    t_at integer[]; t_state text[]; t_amount bigint[]; t_version bigint[];
    v_taken text[]; v_born text[] := '{}'; v_known record; v_now timestamptz; v_written bigint;
    v_due text[] := '{}'; v_expired text[] := '{}'; v_left bigint[];
    v_outcome text; v_detail text; v_amount bigint; v_free bigint; v_at timestamptz;
    v_version bigint;
    v_changes boolean; v_decisions ballast.decided[] := '{}';
    v_opens boolean; v_reverses boolean; v_targets boolean; v_charges boolean; v_holds boolean;
    v_expires bigint; v_events boolean := false; v_rekey boolean := false;
    f integer; t integer; s integer; k integer; u integer;
BEGIN
    -- Arrays are aggregated from sorted subqueries, which sorts once and not once an array.

    -- Legs.
    SELECT array_agg(p_op[x.i]), array_agg(x.i), array_agg(x.payer), array_agg(x.payee),
           array_agg(x.amount), array_agg(x.leg), array_agg(x.kind), array_agg(x.moved),
           array_agg(ballast.words_error(p_kind[x.i], p_key[x.i], p_account[x.i], p_peer[x.i],
                                         p_asset[x.i], p_amount[x.i], p_target[x.i],
                                         p_memo[x.i])),
           array_agg(ballast.words(p_kind[x.i], p_account[x.i], p_peer[x.i], p_amount[x.i],
                                   p_target[x.i], p_memo[x.i])),
           bool_or(p_kind[x.i] = 'open'), bool_or(p_kind[x.i] = 'reverse'),
           bool_or(p_kind[x.i] IN ('capture', 'release', 'settle')),
           bool_or(p_kind[x.i] IN ('charge', 'settle', 'close')),
           bool_or(p_kind[x.i] IN ('hold', 'capture', 'release')),
           max(least(p_amount[x.i], holds_max)) FILTER (WHERE p_kind[x.i] = 'expire'
                                                          AND p_amount[x.i] > 0)
      INTO l_op, l_row, l_payer, l_payee, l_amount, l_target_leg, l_target_kind, l_left, l_error,
           l_words, v_opens, v_reverses, v_targets, v_charges, v_holds, v_expires
      FROM ballast.legs(p_kind, p_account, p_peer, p_amount, p_target) AS x;
    IF l_op IS NULL THEN
        RETURN;
    END IF;

    -- Operations. o_key_at is the first sound operation of the batch with the same key.
    SELECT array_agg(x.op), array_agg(x.kind), array_agg(x.key), array_agg(x.row),
           array_agg(x.leg), array_agg(x.last_leg), array_agg(x.error),
           array_agg(ballast.fingerprint(x.words)), array_agg(x.key_at), array_agg(x.multi)
      INTO o_op, o_kind, o_key, o_row, o_leg, o_last_leg, o_error, o_fingerprint, o_key_at,
           o_multi
      FROM ballast.operations(l_op, l_row, l_error, l_words, l_target_kind, p_kind, p_key) AS x;
    o_id := ARRAY(SELECT CASE WHEN o_kind[n] IN ('credit', 'debit', 'transfer', 'mtransfer',
                                                 'reverse', 'capture')
                                OR o_kind[n] = 'settle' AND p_memo[o_row[n]] = 'succeeded'
                              THEN nextval('ballast.transfer_id') END
                    FROM generate_subscripts(o_op, 1) AS n);
    o_made := ARRAY(SELECT CASE o_kind[n] WHEN 'hold' THEN nextval('ballast.hold_id')
                                          WHEN 'charge' THEN nextval('ballast.charge_id')
                                          WHEN 'release' THEN p_target[o_row[n]] END
                      FROM generate_subscripts(o_op, 1) AS n);

    -- Keys: the sorted insert waits for any other transaction that holds one of them.
    o_owner := array_fill(0, ARRAY[cardinality(o_op)]);
    o_known_fingerprint := array_fill(NULL::bigint, ARRAY[cardinality(o_op)]);
    o_known_id := o_known_fingerprint;
    o_known_made := o_known_fingerprint;
    o_known_version := o_known_fingerprint;
    o_known_account := array_fill(NULL::text, ARRAY[cardinality(o_op)]);
    o_known_changed := array_fill(NULL::boolean, ARRAY[cardinality(o_op)]);
    WITH taken AS (
        INSERT INTO ballast.mutation (key, kind, fingerprint, transfer, made)
        SELECT o_key[n], o_kind[n], o_fingerprint[n], o_id[n], o_made[n]
          FROM generate_subscripts(o_op, 1) AS n
         WHERE o_key_at[n] = n
         ORDER BY o_key[n]
        ON CONFLICT (key) DO NOTHING
        RETURNING key::text)
    SELECT coalesce(array_agg(key), '{}') INTO v_taken FROM taken;
    FOR v_known IN
        SELECT n, x.*
          FROM generate_subscripts(o_op, 1) AS n, LATERAL ballast.key_owner(o_key[n]) AS x
         WHERE o_key_at[n] = n AND o_key[n] NOT IN (SELECT unnest(v_taken))
    LOOP
        k := v_known.n;
        o_owner[k] := -1;
        o_known_fingerprint[k] := v_known.fingerprint;
        o_known_id[k] := v_known.transfer;
        o_known_made[k] := v_known.made;
        o_known_account[k] := v_known.account_id;
        o_known_version[k] := v_known.version;
        o_known_changed[k] := v_known.changed;
    END LOOP;

    -- Accounts: those to open are inserted first, then all are locked and loaded in sorted order.
    IF v_opens THEN
        WITH born AS (
            INSERT INTO ballast.account (account_id, asset, balance, floor, version, opened_at,
                                         changed_at)
            SELECT x.account_id, x.asset, 0, x.floor, 1, clock_timestamp(), clock_timestamp()
              FROM (SELECT DISTINCT ON (p_account[o_row[n]]) p_account[o_row[n]] AS account_id,
                           p_asset[o_row[n]] AS asset, coalesce(p_amount[o_row[n]], 0) AS floor
                      FROM generate_subscripts(o_op, 1) AS n
                     WHERE o_kind[n] = 'open' AND o_error[n] IS NULL
                     ORDER BY p_account[o_row[n]], n) AS x
             ORDER BY x.account_id
            ON CONFLICT (account_id) DO NOTHING
            RETURNING account_id)
        SELECT coalesce(array_agg(account_id), '{}') INTO v_born FROM born;
    END IF;
    IF v_expires > 0 THEN
        v_due := ballast.accounts_due(v_expires, l_payer || l_payee);
    END IF;
    a_id := ARRAY(SELECT x.id
                    FROM (SELECT y.id
                            FROM generate_subscripts(l_op, 1) AS n,
                                 LATERAL (VALUES (l_payer[n]), (l_payee[n])) AS y (id)
                           WHERE NOT ballast.is_system(y.id)
                          UNION ALL
                          SELECT unnest(v_due)) AS x
                   GROUP BY x.id
                   ORDER BY x.id);
    SELECT array_agg(x.payer), array_agg(x.payee) INTO l_from, l_to
      FROM (SELECT coalesce(y.s, 0) AS payer, coalesce(z.s, 0) AS payee
              FROM generate_subscripts(l_op, 1) AS n
              LEFT JOIN generate_subscripts(a_id, 1) AS y (s) ON a_id[y.s] = l_payer[n]
              LEFT JOIN generate_subscripts(a_id, 1) AS z (s) ON a_id[z.s] = l_payee[n]
             ORDER BY n) AS x;
    -- Once more where that shows holds whose time is up: they are posted first, a_due is the rest.
    FOR pass IN 1 .. 2 LOOP
        SELECT array_agg(x.asset), array_agg(x.balance), array_agg(x.held), array_agg(x.floor),
               array_agg(x.status), array_agg(coalesce(x.version, 0)),
               array_agg(coalesce(x.changed_at, '-infinity')), array_agg(x.tid)
          INTO a_asset, a_balance, a_held, a_floor, a_status, a_version, a_changed_at, a_tid
          FROM (SELECT g.*
                  FROM generate_subscripts(a_id, 1) AS n
                  LEFT JOIN LATERAL (SELECT a.asset, a.balance, a.held::bigint, a.floor,
                                            a.status::text, a.version::bigint, a.changed_at,
                                            a.ctid AS tid
                                       FROM ballast.account AS a
                                      WHERE a.account_id = a_id[n]
                                        FOR NO KEY UPDATE) AS g ON true
                 ORDER BY n) AS x;
        v_now := coalesce(v_now, clock_timestamp());
        EXIT WHEN pass = 2 OR NOT coalesce(0 < ANY (a_held), false);
        v_expired := ballast.expire_holds(
            ARRAY(SELECT a_id[n] FROM generate_subscripts(a_id, 1) AS n WHERE a_held[n] > 0),
            coalesce(v_expires, holds_max), v_now);
        EXIT WHEN cardinality(v_expired) = 0;
        a_due := ballast.due_amounts(a_id, v_now);
    END LOOP;
    IF v_opens THEN
        SELECT array_agg(x.version), array_agg(x.floor) INTO a_version, a_opening_floor
          FROM (SELECT CASE WHEN b.s IS NULL THEN a_version[n] ELSE 0 END AS version,
                       (SELECT e.floor FROM ballast.account_event AS e
                         WHERE e.account_id = a_id[n] AND e.version = 1) AS floor
                  FROM generate_subscripts(a_id, 1) AS n
                  LEFT JOIN generate_subscripts(v_born, 1) AS b (s) ON v_born[b.s] = a_id[n]
                 ORDER BY n) AS x;
    END IF;
    a_loaded_version := a_version;
    IF v_targets THEN
        SELECT array_agg(x.at), array_agg(x.state), array_agg(x.amount), array_agg(x.version)
          INTO t_at, t_state, t_amount, t_version
          FROM ballast.targets(o_kind, ARRAY(SELECT p_target[r] FROM unnest(o_row) AS r),
                               v_now) AS x;
    END IF;
    IF v_charges THEN
        a_charge := ballast.open_charges(a_id);
    END IF;

    -- What is left of the targets of reverses, one figure a target's leg, at its first use.
    IF v_reverses THEN
        SELECT array_agg(x.amount), array_agg(x.left_at) INTO l_left, l_left_at
          FROM ballast.left_to_reverse(
                   ARRAY(SELECT p_target[r] FROM unnest(l_row) AS r), l_target_leg, l_left) AS x;
    END IF;

    -- The play. Every element that is read later is set here or starts as NULL.
    o_duplicate := array_fill(false, ARRAY[cardinality(o_op)]);
    o_slot := o_owner;
    FOR o IN 1 .. cardinality(o_op) LOOP
        k := o_key_at[o];
        f := l_from[o_leg[o]];
        t := l_to[o_leg[o]];
        -- The account that the operation is about: of two sides, the one that pays.
        o_names_payer[o] := f > 0 OR o_kind[o] = 'transfer'
                            OR coalesce(l_target_kind[o_leg[o]] = 'transfer', false);
        s := CASE WHEN o_multi[o] THEN 0 WHEN o_names_payer[o] THEN f ELSE t END;
        v_outcome := 'OK';
        v_version := NULL;
        v_detail := CASE WHEN t_at[o] IS NOT NULL THEN ballast.target_objection(
            o_kind[o], p_target[o_row[o]], t_state[t_at[o]], p_memo[o_row[o]], p_amount[o_row[o]],
            t_amount[t_at[o]]) END;
        IF o_error[o] IS NOT NULL THEN
            v_outcome := 'ERR';
            v_detail := o_error[o];
        ELSIF k IS NOT NULL AND o_owner[k] <> 0 THEN
            IF o_known_fingerprint[k] = o_fingerprint[o] THEN
                o_duplicate[o] := true;
                IF o_known_id[k] IS NULL THEN
                    o_id[o] := NULL; -- a settlement that another key had made
                END IF;
            ELSE
                v_outcome := 'KEYREUSED';
                v_detail := 'the key was used for another mutation';
            END IF;
        ELSIF o_kind[o] = 'open' THEN
            IF a_version[s] = 0 THEN
                v_events := true;
                o_changed[o] := true;
                o_at[o] := a_changed_at[s];
                a_version[s] := 1;
                a_loaded_version[s] := 1;
                a_opening_floor[s] := a_floor[s];
            ELSIF a_asset[s] <> p_asset[o_row[o]]
               OR a_opening_floor[s] <> coalesce(p_amount[o_row[o]], 0) THEN
                v_outcome := 'EXISTS';
                v_detail := format('opened with asset %s, floor %s', a_asset[s],
                                   a_opening_floor[s]);
            ELSE
                o_changed[o] := false;
            END IF;
        ELSIF o_kind[o] = 'expire' THEN
            o_made[o] := nullif(cardinality(v_due), 0); -- was done when the accounts were loaded
        ELSIF o_kind[o] NOT IN ('credit', 'debit', 'transfer', 'mtransfer', 'reverse', 'capture',
                                'settle') THEN
            -- One account, and nothing moves.
            v_amount := p_amount[o_row[o]];
            v_free := coalesce(a_due[s], 0);
            v_changes := false;
            v_detail := coalesce(v_detail, ballast.objection(
                o_kind[o], a_id[s], a_version[s], a_status[s], a_balance[s], a_held[s], v_free,
                a_floor[s], v_amount, p_target[o_row[o]], a_charge[s]));
            IF v_detail IS NULL THEN
                v_changes := ballast.changes(o_kind[o], a_status[s], a_balance[s],
                                             a_held[s] - v_free, a_floor[s], v_amount,
                                             p_memo[o_row[o]]);
                -- 1 the fuse of charges, 2 that of suspensions
                u := CASE WHEN o_kind[o] = 'charge' THEN 1
                          WHEN o_kind[o] = 'suspend' AND v_changes THEN 2 END;
                IF v_changes AND a_version[s] = int64_max THEN
                    v_detail := 'OVERFLOW no version is left';
                ELSIF u IS NOT NULL THEN
                    v_left := coalesce(v_left, ballast.fuses_left());
                    v_left[u] := v_left[u] - 1;
                    IF v_left[u] < 0 THEN
                        v_detail := ballast.fuse_objection(u);
                    END IF;
                END IF;
            END IF;
            IF o_kind[o] IN ('suspend', 'charge', 'canspend')
               AND (v_changes OR o_kind[o] <> 'suspend')
               AND a_version[s] > 0 AND (v_detail IS NULL) = (o_kind[o] <> 'canspend') THEN
                v_decisions := v_decisions || ROW(
                    CASE o_kind[o] WHEN 'canspend' THEN 'deny' ELSE o_kind[o] END, a_id[s],
                    o_key[o], l_amount[o_leg[o]], o_made[o], a_balance[s], a_held[s], a_floor[s],
                    a_status[s], a_version[s],
                    CASE o_kind[o]
                        WHEN 'charge' THEN 'threshold ' || coalesce(p_target[o_row[o]], 0)
                        WHEN 'canspend' THEN split_part(v_detail, ' ', 1)
                        ELSE p_memo[o_row[o]] END)::ballast.decided;
            END IF;
            IF v_detail IS NOT NULL THEN
                v_outcome := split_part(v_detail, ' ', 1);
                v_detail := substr(v_detail, length(v_outcome) + 2);
            ELSE
                o_changed[o] := v_changes;
                IF v_changes THEN
                    v_events := true;
                    a_version[s] := a_version[s] + 1;
                    a_changed_at[s] := greatest(v_now, a_changed_at[s]);
                    o_at[o] := a_changed_at[s];
                END IF;
                CASE o_kind[o]
                    WHEN 'setfloor' THEN
                        a_floor[s] := v_amount;
                    WHEN 'close' THEN
                        a_status[s] := 'closed';
                    WHEN 'suspend' THEN
                        IF v_changes THEN
                            a_status[s] := 'suspended';
                        END IF;
                    WHEN 'resume' THEN
                        a_status[s] := 'active';
                    WHEN 'hold' THEN
                        a_held[s] := a_held[s] + v_amount;
                        v_detail := ballast.moment(ballast.hold_end(v_now, p_target[o_row[o]]));
                    WHEN 'release' THEN
                        a_held[s] := a_held[s] - t_amount[t_at[o]];
                        t_state[t_at[o]] := 'released';
                    WHEN 'charge' THEN
                        a_charge[s] := o_made[o];
                    WHEN 'canspend' THEN
                        NULL;
                END CASE;
            END IF;
        ELSE
            IF o_kind[o] = 'reverse' THEN
                v_detail := ballast.reverse_objection(
                    p_target[o_row[o]], l_target_kind[o_leg[o]], o_multi[o], p_amount[o_row[o]],
                    l_left[l_left_at[o_leg[o]]]);
                FOR l IN o_leg[o] .. o_last_leg[o] LOOP
                    l_amount[l] := coalesce(p_amount[o_row[o]], l_left[l_left_at[l]]);
                END LOOP;
            END IF;
            IF v_detail IS NOT NULL THEN
                v_outcome := split_part(v_detail, ' ', 1);
                v_detail := substr(v_detail, length(v_outcome) + 2);
            ELSIF t_state[t_at[o]] = p_memo[o_row[o]] THEN
                -- Settled like this already, with another key: as it was then.
                o_duplicate[o] := true;
                o_id[o] := NULL;
                v_version := coalesce(t_version[t_at[o]], a_version[s]);
            END IF;
            FOR l IN o_leg[o] .. o_last_leg[o] LOOP
                EXIT WHEN v_outcome <> 'OK' OR o_id[o] IS NULL;
                f := l_from[l];
                t := l_to[l];
                v_amount := l_amount[l];
                v_detail := ballast.leg_objection(
                    o_kind[o], v_amount, a_id[f], a_version[f], a_asset[f], a_status[f], a_balance[f],
                    a_held[f] - coalesce(a_due[f], 0), a_floor[f], a_id[t], a_version[t], a_asset[t],
                    a_status[t], a_balance[t]);
                IF v_detail IS NULL THEN
                    v_at := v_now;
                    IF f > 0 THEN
                        v_at := greatest(v_at, a_changed_at[f]);
                        a_balance[f] := a_balance[f] - v_amount;
                        IF o_kind[o] = 'capture' THEN
                            a_held[f] := a_held[f] - t_amount[t_at[o]];
                        END IF;
                        a_version[f] := a_version[f] + 1;
                        l_from_balance[l] := a_balance[f];
                        l_from_held[l] := a_held[f];
                        l_from_version[l] := a_version[f];
                        l_from_floor[l] := a_floor[f];
                    END IF;
                    IF t > 0 THEN
                        v_at := greatest(v_at, a_changed_at[t]);
                        a_balance[t] := a_balance[t] + v_amount;
                        a_version[t] := a_version[t] + 1;
                        a_changed_at[t] := v_at;
                        l_to_balance[l] := a_balance[t];
                        l_to_held[l] := a_held[t];
                        l_to_version[l] := a_version[t];
                        l_to_floor[l] := a_floor[t];
                        l_to_status[l] := a_status[t];
                    END IF;
                    IF f > 0 THEN
                        a_changed_at[f] := v_at;
                    END IF;
                    l_at[l] := v_at;
                    CONTINUE;
                END IF;
                -- Refused: the legs before it are taken back, the last one first: in any other order a
                -- balance could pass its limit in between.
                v_outcome := split_part(v_detail, ' ', 1);
                v_detail := CASE WHEN o_multi[o] THEN format('leg %s: ', l - o_leg[o] + 1) ELSE '' END
                            || substr(v_detail, length(v_outcome) + 2);
                FOR u IN REVERSE l - 1 .. o_leg[o] LOOP
                    f := l_from[u];
                    t := l_to[u];
                    l_at[u] := NULL;
                    IF f > 0 THEN
                        a_balance[f] := a_balance[f] + l_amount[u];
                        a_version[f] := a_version[f] - 1;
                    END IF;
                    IF t > 0 THEN
                        a_balance[t] := a_balance[t] - l_amount[u];
                        a_version[t] := a_version[t] - 1;
                    END IF;
                END LOOP;
            END LOOP;
            IF v_outcome <> 'OK' OR o_duplicate[o] THEN
                NULL;
            ELSIF o_kind[o] = 'reverse' THEN
                FOR l IN o_leg[o] .. o_last_leg[o] LOOP
                    l_left[l_left_at[l]] := l_left[l_left_at[l]] - l_amount[l];
                END LOOP;
            ELSIF o_kind[o] = 'capture' THEN
                t_state[t_at[o]] := 'captured';
                o_at[o] := l_at[o_leg[o]];
            ELSIF o_kind[o] = 'settle' THEN
                t_state[t_at[o]] := p_memo[o_row[o]];
                IF p_memo[o_row[o]] <> 'unknown' THEN
                    t_version[t_at[o]] := a_version[s];
                    a_charge[s] := NULL;
                END IF;
                v_decisions := v_decisions || ROW(
                    'settle', a_id[s], o_key[o], l_amount[o_leg[o]], p_target[o_row[o]],
                    a_balance[s] - CASE WHEN o_id[o] IS NULL THEN 0 ELSE l_amount[o_leg[o]] END,
                    a_held[s], a_floor[s], a_status[s],
                    a_version[s] - (o_id[o] IS NOT NULL)::integer,
                    p_memo[o_row[o]])::ballast.decided;
            END IF;
        END IF;
        o_outcome[o] := v_outcome;
        o_detail[o] := v_detail;
        IF v_outcome = 'OK' AND k IS NOT NULL AND o_owner[k] = 0 THEN
            o_owner[k] := o;
            o_known_fingerprint[k] := o_fingerprint[o];
            o_known_id[k] := o_id[o];
            o_known_made[k] := o_made[o];
            IF o_id[o] IS NULL THEN
                o_known_account[k] := a_id[s];
                o_known_version[k] := coalesce(v_version, a_version[s]);
                o_known_changed[k] := o_changed[o];
            END IF;
            v_rekey := v_rekey OR k <> o OR coalesce(o_id[o], o_made[o]) IS NULL;
        ELSIF v_outcome <> 'OK' AND k IS NOT NULL THEN
            v_rekey := true;
        END IF;
        IF (v_outcome <> 'OK' OR o_id[o] IS NULL) AND s > 0 AND a_version[s] > 0 THEN
            o_slot[o] := s;
            o_balance[o] := a_balance[s];
            o_held[o] := a_held[s];
            o_floor[o] := a_floor[s];
            o_status[o] := a_status[s];
            o_version[o] := a_version[s];
        END IF;
    END LOOP;

    -- Locked rows do not move, so they are found again by their place, without the index.
    UPDATE ballast.account AS a
       SET balance = a_balance[n], held = a_held[n], floor = a_floor[n], status = a_status[n],
           version = a_version[n], changed_at = a_changed_at[n], deferred = false, room = NULL
      FROM generate_subscripts(a_id, 1) AS n
     WHERE a.ctid = a_tid[n] AND a_version[n] <> a_loaded_version[n];
    GET DIAGNOSTICS v_written = ROW_COUNT;
    IF v_written <> (SELECT count(*) FROM generate_subscripts(a_id, 1) AS n
                      WHERE a_version[n] <> a_loaded_version[n]) THEN
        RAISE EXCEPTION 'ballast: % accounts written, others lost under their locks', v_written;
    END IF;
    INSERT INTO ballast.transfer (transfer, leg, kind, key, asset, amount, from_account,
                                  from_version, from_balance, from_held, to_account, to_version,
                                  to_balance, to_held, memo, reverses, at)
    SELECT o_id[o], CASE WHEN o_kind[o] = 'reverse' THEN l_target_leg[l] ELSE l - o_leg[o] END,
           o_kind[o], o_key[o], coalesce(a_asset[nullif(l_from[l], 0)], a_asset[l_to[l]]),
           l_amount[l], l_payer[l], l_from_version[l], l_from_balance[l], l_from_held[l],
           l_payee[l], l_to_version[l], l_to_balance[l], l_to_held[l],
           CASE WHEN o_kind[o] <> 'settle' THEN p_memo[l_row[l]] END,
           CASE WHEN o_kind[o] = 'reverse' THEN p_target[l_row[l]] END, l_at[l]
      FROM generate_subscripts(o_op, 1) AS o,
           LATERAL generate_series(o_leg[o], o_last_leg[o]) AS l
     WHERE l_at[l] IS NOT NULL;
    IF v_events THEN
        INSERT INTO ballast.account_event (account_id, version, balance, held, floor, status, kind,
                                           key, at, detail)
        SELECT a_id[o_slot[o]], o_version[o], o_balance[o], o_held[o], o_floor[o], o_status[o],
               o_kind[o], o_key[o], o_at[o],
               CASE o_kind[o] WHEN 'hold' THEN 'hold ' || o_made[o]
                              WHEN 'release' THEN 'hold ' || p_target[o_row[o]]
                              WHEN 'suspend' THEN p_memo[o_row[o]] END
          FROM generate_subscripts(o_op, 1) AS o
         WHERE o_outcome[o] = 'OK' AND o_changed[o];
    END IF;
    IF v_holds THEN
        INSERT INTO ballast.hold (hold, account_id, amount, version, begun_at, expires)
        SELECT o_made[o], a_id[o_slot[o]], l_amount[o_leg[o]], o_version[o], o_at[o],
               ballast.hold_end(v_now, p_target[o_row[o]])
          FROM generate_subscripts(o_op, 1) AS o
         WHERE o_kind[o] = 'hold' AND o_changed[o];
        UPDATE ballast.hold AS h
           SET state = t_state[t_at[o]], transfer = o_id[o], ended_at = o_at[o],
               released_version = CASE o_kind[o] WHEN 'release' THEN o_version[o] END
          FROM generate_subscripts(o_op, 1) AS o
         WHERE h.hold = ANY (ARRAY[p_target[o_row[o]]]) AND o_kind[o] IN ('capture', 'release')
           AND o_at[o] IS NOT NULL;
    END IF;
    IF v_charges THEN
        -- First, so that an account may have the next one open. A charge that several operations
        -- settle becomes what the last of them says.
        UPDATE ballast.charge AS c
           SET state = t_state[t_at[o]], settled_version = t_version[t_at[o]], transfer = o_id[o],
               settled_at = CASE WHEN t_version[t_at[o]] IS NOT NULL THEN v_now END
          FROM generate_subscripts(o_op, 1) AS o
         WHERE c.charge = ANY (ARRAY[p_target[o_row[o]]]) AND o_kind[o] = 'settle'
           AND o_outcome[o] = 'OK' AND NOT o_duplicate[o]
           AND p_memo[o_row[o]] = t_state[t_at[o]];
        INSERT INTO ballast.charge (charge, account_id, amount, threshold, balance, held, version,
                                    begun_at)
        SELECT o_made[o], a_id[o_slot[o]], l_amount[o_leg[o]], coalesce(p_target[o_row[o]], 0),
               o_balance[o], o_held[o], o_version[o], v_now
          FROM generate_subscripts(o_op, 1) AS o
         WHERE o_kind[o] = 'charge' AND o_outcome[o] = 'OK' AND NOT o_duplicate[o];
    END IF;
    IF v_left IS NOT NULL OR cardinality(v_decisions) > 0 THEN
        PERFORM ballast.record_decisions(v_decisions, v_left);
    END IF;
    IF v_reverses THEN
        INSERT INTO ballast.reversal AS v (transfer, leg, amount)
        SELECT p_target[l_row[l]], l_target_leg[l], sum(l_amount[l])
          FROM generate_subscripts(l_op, 1) AS l
         WHERE l_target_kind[l] IS NOT NULL AND l_at[l] IS NOT NULL
         GROUP BY p_target[l_row[l]], l_target_leg[l]
        ON CONFLICT (transfer, leg) DO UPDATE SET amount = v.amount + excluded.amount;
    END IF;
    IF v_rekey THEN
        DELETE FROM ballast.mutation AS m
         USING generate_subscripts(o_op, 1) AS o
         WHERE m.key = ANY (ARRAY[o_key[o]]) AND o_key_at[o] = o AND o_owner[o] = 0;
        UPDATE ballast.mutation AS m
           SET kind = o_kind[o_owner[o]], fingerprint = o_known_fingerprint[o],
               transfer = o_known_id[o], made = o_known_made[o],
               account_id = CASE WHEN o_known_made[o] IS NULL THEN o_known_account[o] END,
               version = CASE WHEN o_known_made[o] IS NULL THEN o_known_version[o] END
          FROM generate_subscripts(o_op, 1) AS o
         WHERE m.key = ANY (ARRAY[o_key[o]]) AND o_owner[o] > 0
           AND (o_owner[o] <> o OR coalesce(o_known_id[o], o_known_made[o]) IS NULL);
    END IF;

    RETURN QUERY
    -- Movements that took effect, and their duplicates: the named side, then the other.
    SELECT o_op[o], d.part, 'OK', coalesce(j.transfer, o_id[o]), d.account,
           CASE WHEN d.account IS NOT NULL
                THEN coalesce(a_asset[nullif(l_from[o_leg[o]], 0)], a_asset[l_to[o_leg[o]]]) END,
           CASE WHEN NOT o_duplicate[o] THEN d.balance
                WHEN d.payer THEN j.from_balance WHEN NOT d.payer THEN j.to_balance END,
           CASE WHEN NOT o_duplicate[o] THEN d.held
                WHEN d.payer THEN j.from_held WHEN NOT d.payer THEN j.to_held END,
           CASE WHEN o_duplicate[o] THEN a_floor[d.slot] ELSE d.floor END,
           CASE WHEN o_duplicate[o] THEN a_status[d.slot] ELSE d.status END,
           CASE WHEN NOT o_duplicate[o] THEN d.version
                WHEN d.payer THEN j.from_version WHEN NOT d.payer THEN j.to_version END,
           o_duplicate[o], NOT o_duplicate[o], NULL::text
      FROM generate_subscripts(o_op, 1) AS o
      LEFT JOIN LATERAL (SELECT * FROM ballast.transfer AS x
                          WHERE o_duplicate[o] AND x.transfer = o_known_id[o_key_at[o]]
                          ORDER BY x.leg LIMIT 1) AS j ON true,
           LATERAL (
               SELECT 0::smallint AS part, NULL::integer AS slot, NULL::boolean AS payer,
                      NULL::text AS account, NULL::bigint AS balance, NULL::bigint AS held,
                      NULL::bigint AS floor, NULL::text AS status, NULL::bigint AS version
                WHERE o_multi[o]
               UNION ALL
               SELECT (NOT o_names_payer[o])::integer::smallint, nullif(l_from[o_leg[o]], 0), true,
                      l_payer[o_leg[o]], l_from_balance[o_leg[o]], l_from_held[o_leg[o]],
                      l_from_floor[o_leg[o]],
                      CASE WHEN l_from[o_leg[o]] > 0 THEN 'active' END, l_from_version[o_leg[o]]
                WHERE NOT o_multi[o] AND o_names_payer[o]
               UNION ALL
               SELECT o_names_payer[o]::integer::smallint, l_to[o_leg[o]], false,
                      l_payee[o_leg[o]], l_to_balance[o_leg[o]], l_to_held[o_leg[o]],
                      l_to_floor[o_leg[o]],
                      l_to_status[o_leg[o]], l_to_version[o_leg[o]]
                WHERE NOT o_multi[o] AND l_to[o_leg[o]] > 0) AS d
     WHERE o_outcome[o] = 'OK' AND o_id[o] IS NOT NULL
    UNION ALL
    -- What was refused, and operations without money.
    SELECT o_op[o], 0::smallint, o_outcome[o],
           CASE WHEN o_outcome[o] = 'OK' AND o_kind[o] <> 'release' THEN o_made[o] END,
           a_id[nullif(o_slot[o], 0)],
           a_asset[nullif(o_slot[o], 0)], o_balance[o], o_held[o], o_floor[o], o_status[o],
           o_version[o], false, coalesce(o_changed[o], false), o_detail[o]
      FROM generate_subscripts(o_op, 1) AS o
     WHERE NOT o_duplicate[o] AND (o_outcome[o] <> 'OK' OR o_id[o] IS NULL)
    UNION ALL
    -- Duplicates of operations without money: the state at the version that they left.
    SELECT o_op[o], 0::smallint, 'OK',
           CASE WHEN o_kind[o] <> 'release' THEN o_known_made[g.k] END, a_id[g.slot], a_asset[g.slot],
           d.balance, d.held, coalesce(d.floor, a_floor[g.slot]),
           coalesce(d.status, a_status[g.slot]), g.version, true, o_known_changed[g.k],
           (SELECT ballast.moment(h.expires) FROM ballast.hold AS h
             WHERE o_kind[o] = 'hold' AND h.hold = o_known_made[g.k])
      FROM generate_subscripts(o_op, 1) AS o,
           LATERAL (SELECT o_key_at[o] AS k,
                           coalesce(nullif(l_from[o_leg[o]], 0), l_to[o_leg[o]]) AS slot,
                           o_known_version[o_key_at[o]] AS version) AS g
      LEFT JOIN LATERAL ballast.state_at(a_id[g.slot], g.version) AS d ON true
     WHERE o_duplicate[o] AND o_id[o] IS NULL
    UNION ALL
    -- Present states: of every account of duplicates and of operations with several legs, and of
    -- the payee of a refused transfer.
    SELECT x.op, 2::smallint, x.outcome, NULL::bigint, a_id[x.slot], a_asset[x.slot],
           a_balance[x.slot], a_held[x.slot], a_floor[x.slot], a_status[x.slot],
           a_version[x.slot], x.duplicate, false, NULL::text
      FROM (SELECT DISTINCT o_op[o] AS op, o_outcome[o] AS outcome, o_duplicate[o] AS duplicate,
                   d.slot
              FROM generate_subscripts(o_op, 1) AS o,
                   LATERAL generate_series(o_leg[o], o_last_leg[o]) AS l,
                   LATERAL (VALUES (l_from[l], o_duplicate[o] OR o_multi[o]),
                                   (l_to[l], o_duplicate[o] OR o_multi[o]
                                    OR (o_outcome[o] <> 'OK' AND o_names_payer[o])))
                       AS d (slot, wanted)
             WHERE d.wanted AND d.slot > 0 AND a_version[d.slot] > 0
            -- Of those on which holds have expired, which no operation need show; by that which asked
            -- for it, if there is one.
            UNION
            SELECT (SELECT o_op[coalesce(array_position(o_kind, 'expire'), 1)]), 'OK', false, n
              FROM generate_subscripts(a_id, 1) AS n
             WHERE a_id[n] = ANY (v_expired)) AS x
     ORDER BY 1, 2;
END
$$;

RESET ROLE;
