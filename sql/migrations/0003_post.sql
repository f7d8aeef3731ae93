-- The entry points of posting: post_batch() for daemons, post() for people and jobs.

SET LOCAL ROLE ballast_owner;

-- post_in_order, with what it refuses noted under the number of the commit (NULL: not noted), and the
-- accounts on which it has posted expiries, if it was asked for these: no key tells of them.
CREATE FUNCTION ballast.post_and_note(
    p_commit bigint, p_kind text[], p_key text[], p_account text[], p_peer text[], p_asset text[],
    p_amount bigint[], p_target bigint[], p_memo text[], p_op integer[])
RETURNS SETOF ballast.post_result
LANGUAGE plpgsql
SET search_path = ballast, pg_temp
AS $$
DECLARE
    expiring CONSTANT integer := p_op[array_position(p_kind, 'expire')];
BEGIN
    RETURN QUERY
    WITH result AS MATERIALIZED (
        SELECT * FROM ballast.post_in_order(p_kind, p_key, p_account, p_peer, p_asset, p_amount,
                                            p_target, p_memo, p_op)
    ), noted AS (
        INSERT INTO ballast.refusal (commit_number, op, outcome, detail, accounts)
        SELECT p_commit, r.op, min(r.outcome), min(r.detail),
               array_remove(array_agg(r.account), NULL)
          FROM result AS r
         WHERE p_commit IS NOT NULL AND (r.outcome <> 'OK' OR r.op = expiring)
         GROUP BY r.op)
    SELECT * FROM result;
END
$$;

-- What a set-based statement has left, by the places in its arrays: gives the keys back that it has
-- taken, and plays it in order. Its accounts are locked already. p_new: NULL where the key was used
-- before.
CREATE FUNCTION ballast.post_rest(
    p_commit bigint, p_rest integer[], p_new bigint[], p_kind text[], p_key text[],
    p_account text[], p_peer text[], p_amount bigint[], p_target bigint[], p_memo text[],
    p_op integer[])
RETURNS SETOF ballast.post_result
LANGUAGE plpgsql
SET search_path = ballast, pg_temp
AS $$
BEGIN
    DELETE FROM ballast.mutation AS m
     USING unnest(p_rest) AS i
     WHERE m.key = ANY (ARRAY[p_key[i]]) AND p_new[i] IS NOT NULL;
    RETURN QUERY
    SELECT r.*
      FROM ballast.post_and_note(
               p_commit, ARRAY(SELECT p_kind[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_key[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_account[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_peer[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT NULL::text FROM unnest(p_rest)),
               ARRAY(SELECT p_amount[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_target[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_memo[i] FROM unnest(p_rest) AS i),
               ARRAY(SELECT p_op[i] FROM unnest(p_rest) AS i)) AS r;
END
$$;

-- A single credit or debit, as the statement of post_batch() posts it: begun for one row, that costs
-- four times as much. NULL: nothing is posted, because the words are unsound, the key was used before,
-- or the account is not there or does not bear it.
CREATE FUNCTION ballast.post_one(
    p_kind text, p_key text, p_account text, p_peer text, p_amount bigint, p_target bigint,
    p_memo text, p_op integer)
RETURNS ballast.post_result
LANGUAGE plpgsql
AS $$
DECLARE
    takes CONSTANT boolean := p_kind = 'debit';
    move CONSTANT bigint := CASE WHEN takes THEN -p_amount ELSE p_amount END;
    posted bigint;
    a ballast.account;
BEGIN
    IF (p_amount BETWEEN 1 AND 4611686018427387903 AND octet_length(p_key) BETWEEN 1 AND 128
        AND ballast.is_system(p_peer)) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    INSERT INTO ballast.mutation (key, kind, fingerprint, transfer)
    VALUES (p_key, p_kind,
            ballast.fingerprint(ballast.words(p_kind, p_account, p_peer, p_amount, p_target, p_memo)),
            nextval('ballast.transfer_id'))
    ON CONFLICT (key) DO NOTHING
    RETURNING transfer INTO posted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE ballast.account AS x
       SET balance = x.balance + move, version = x.version + 1,
           changed_at = greatest(clock_timestamp(), x.changed_at), room = NULL
     WHERE x.account_id = p_account
       AND ballast.bears(x, takes, CASE WHEN takes THEN move END, greatest(move, 0))
    RETURNING x.* INTO a;
    IF NOT FOUND THEN
        DELETE FROM ballast.mutation AS m WHERE m.key = p_key;
        RETURN NULL;
    END IF;
    IF takes THEN
        INSERT INTO ballast.transfer (transfer, kind, key, asset, amount, from_account, from_version,
                                      from_balance, from_held, to_account, memo, at)
        VALUES (posted, p_kind, p_key, a.asset, p_amount, a.account_id, a.version, a.balance, a.held,
                p_peer, p_memo, a.changed_at);
    ELSE
        INSERT INTO ballast.transfer (transfer, kind, key, asset, amount, from_account, to_account,
                                      to_version, to_balance, to_held, memo, at)
        VALUES (posted, p_kind, p_key, a.asset, p_amount, p_peer, a.account_id, a.version, a.balance,
                a.held, p_memo, a.changed_at);
    END IF;
    RETURN (p_op, 0::smallint, 'OK', posted, a.account_id, a.asset, a.balance, a.held, a.floor,
            a.status, a.version, false, true, NULL::text)::ballast.post_result;
END
$$;

-- Posts a batch. Parallel arrays, one row an operation, or a leg of an mtransfer; op numbers the
-- operations, ascending, equal for the legs of one mtransfer. What each kind uses:
--   open       account, asset, amount = floor (NULL: 0); no key
--   credit     account, amount, peer = the system account that it comes from, memo
--   debit      account, amount, peer = the system account that it goes to, memo
--   transfer   account = payer, peer = payee, amount, memo
--   mtransfer  account = payer, peer = payee, amount, a row a leg
--   reverse    target = transfer, amount (NULL: all that is left)
--   setfloor   account, amount = floor
--   suspend    account, memo = 'ifbelow' (NULL: whatever the balance)
--   resume     account
--   close      account
--   hold       account, amount, target = seconds that it lasts (NULL: a week)
--   capture    target = hold, amount (NULL: all of it), peer = the system account that it goes to
--   release    target = hold
--   charge     account, amount, target = threshold (NULL: 0): begins an intent
--   settle     target = charge, memo = 'succeeded', 'failed' or 'unknown'
--   canspend   account, amount: changes nothing, and a denial is recorded; no key
--   expire     amount: posts the expiries of so many holds whose time is up, and of a thousand, at
--              most; id: how many accounts they were looked for on; no key
-- Result: see ballast.post_result; the rows of one operation stand together, by part. An
-- operation that is refused or malformed changes nothing and disturbs no other. Announces
-- nothing: its callers publish, or call ballast.announce().
-- p_commit, where given, was never used before: refusals and expiries are noted under it
-- (ballast.refusal), for whoever does not get the answer. p_forget: the caller has had the answer to
-- that commit.
CREATE FUNCTION ballast.post_batch(
    p_kind text[], p_key text[], p_account text[], p_peer text[], p_asset text[],
    p_amount bigint[], p_target bigint[], p_memo text[], p_op integer[],
    p_commit bigint DEFAULT NULL, p_forget bigint DEFAULT NULL)
RETURNS SETOF ballast.post_result
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    lease CONSTANT text := nullif(current_setting('ballast.lease', true), '');
    single ballast.post_result;
    at_once boolean;
    id bigint[];
    moves bigint[];
    new_keys text[];
    posted bigint;
BEGIN
    -- Rule T14. The code is that of a server that takes no writes just now: it does not, of ours.
    IF NOT ballast.timeline_is_accepted() THEN
        RAISE EXCEPTION 'PostgreSQL failed over or was restored (timeline %): an operator must run '
                        '`ballast accept-timeline`', ballast.timeline()
            USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    -- Rule T12: a daemon posts only while its lease stands. Whoever ends the lease of a silent one
    -- waits for this lock, and is sure then that nothing of it is to come.
    IF lease IS NOT NULL THEN
        PERFORM FROM ballast.lease AS l WHERE l.daemon = lease AND NOT l.fenced FOR KEY SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the lease of daemon % is not there', lease
                USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    -- The transaction's id before any transfer id: see ballast.roll_up(). It comes with a record in
    -- the log, so that the commit of a batch that changes nothing waits for a synchronous standby as
    -- well: the original of a duplicate may be on the primary alone (fault row 5).
    PERFORM pg_logical_emit_message(true, 'ballast', '');
    IF p_forget IS NOT NULL THEN
        DELETE FROM ballast.refusal WHERE commit_number = p_forget;
    END IF;
    IF cardinality(p_op) = 1 AND p_kind[1] IN ('credit', 'debit', 'hold', 'capture', 'release') THEN
        IF p_kind[1] IN ('credit', 'debit') THEN
            single := ballast.post_one(p_kind[1], p_key[1], p_account[1], p_peer[1], p_amount[1],
                                       p_target[1], p_memo[1], p_op[1]);
        ELSE
            single := ballast.post_one_hold(p_kind[1], p_key[1], p_account[1], p_peer[1],
                                            p_amount[1], p_target[1], p_memo[1], p_op[1]);
        END IF;
        IF single.op IS NOT NULL THEN
            RETURN NEXT single;
            RETURN;
        END IF;
        at_once := false;
    ELSIF p_kind && ARRAY['hold', 'capture', 'release'] THEN
        RETURN QUERY SELECT * FROM ballast.post_with_holds(p_commit, p_kind, p_key, p_account,
                                                           p_peer, p_asset, p_amount, p_target,
                                                           p_memo, p_op);
        RETURN;
    ELSE
        -- Ids are drawn here already: a statement costs more than what they are wasted on.
        SELECT count(DISTINCT p_key[i]) = count(*) AND sum(p_amount[i]) < 4611686018427387904
               AND bool_and(coalesce(p_kind[i] IN ('credit', 'debit') AND p_amount[i] > 0
                                     AND octet_length(p_key[i]) BETWEEN 1 AND 128
                                     AND ballast.is_system(p_peer[i])
                                     AND NOT ballast.is_system(p_account[i]), false)),
               array_agg(nextval('ballast.transfer_id')),
               array_agg(CASE p_kind[i] WHEN 'debit' THEN -p_amount[i] ELSE p_amount[i] END)
          INTO at_once, id, moves
          FROM generate_subscripts(p_op, 1) AS i;
    END IF;
    IF at_once IS NOT TRUE THEN
        RETURN QUERY SELECT * FROM ballast.post_and_note(p_commit, p_kind, p_key, p_account, p_peer,
                                                         p_asset, p_amount, p_target, p_memo, p_op);
        RETURN;
    END IF;

    -- What was used before changes nothing here.
    new_keys := ballast.take_keys(p_kind, p_key, p_account, p_peer, p_amount, p_target, p_memo, id);
    IF new_keys IS NOT NULL THEN
        moves := ballast.of_new_keys(p_key, new_keys, moves);
    END IF;

    -- Every account of the batch is updated, in sorted order, so that all are locked: those that
    -- do not bear what is asked stay as they are but for `deferred`, and so do those of which all
    -- keys were used before. The join is written so that no plan but a look-up by key fits it.
    RETURN QUERY
    WITH step AS MATERIALIZED (
        SELECT i, p_account[i] AS account, moves[i] AS amount, count(moves[i]) OVER w AS nth,
               ballast.total(moves[i]) OVER w AS running
          FROM generate_subscripts(p_op, 1) AS i
        WINDOW w AS (PARTITION BY p_account[i] ORDER BY i ROWS UNBOUNDED PRECEDING)
    ), run AS (
        SELECT account, count(amount) AS versions, ballast.total(amount) AS amount,
               min(running) FILTER (WHERE amount < 0) AS lowest, greatest(max(running), 0) AS highest
          FROM step
         GROUP BY account
         ORDER BY account
    ), changed AS (
        UPDATE ballast.account AS a
           SET balance = CASE WHEN ballast.bears(a, r.lowest IS NOT NULL, r.lowest, r.highest)
                              THEN a.balance + r.amount ELSE a.balance END,
               version = CASE WHEN ballast.bears(a, r.lowest IS NOT NULL, r.lowest, r.highest)
                              THEN a.version + r.versions ELSE a.version END,
               changed_at = CASE WHEN r.versions > 0
                                  AND ballast.bears(a, r.lowest IS NOT NULL, r.lowest, r.highest)
                                 THEN greatest(clock_timestamp(), a.changed_at)
                                 ELSE a.changed_at END,
               deferred = NOT ballast.bears(a, r.lowest IS NOT NULL, r.lowest, r.highest),
               room = NULL
          FROM run AS r
         WHERE a.account_id = ANY (ARRAY[r.account])
        RETURNING a.account_id, a.asset, a.balance, a.held::bigint, a.floor, a.status::text,
                  a.version::bigint, a.changed_at, a.deferred, r.amount, r.versions
    ), result AS MATERIALIZED (
        SELECT s.i, s.amount, c.account_id, c.asset,
               c.balance + (s.running - c.amount) AS balance, c.held, c.floor, c.status,
               c.version + (s.nth - c.versions) AS version, c.changed_at
          FROM step AS s
          JOIN changed AS c ON c.account_id = s.account
         WHERE s.amount IS NOT NULL AND NOT c.deferred
    ), journal AS (
        INSERT INTO ballast.transfer (transfer, kind, key, asset, amount, from_account,
                                      from_version, from_balance, from_held, to_account,
                                      to_version, to_balance, to_held, memo, at)
        SELECT id[r.i], p_kind[r.i], p_key[r.i], r.asset, p_amount[r.i],
               CASE WHEN r.amount < 0 THEN r.account_id ELSE p_peer[r.i] END,
               CASE WHEN r.amount < 0 THEN r.version END,
               CASE WHEN r.amount < 0 THEN r.balance END,
               CASE WHEN r.amount < 0 THEN r.held END,
               CASE WHEN r.amount < 0 THEN p_peer[r.i] ELSE r.account_id END,
               CASE WHEN r.amount > 0 THEN r.version END,
               CASE WHEN r.amount > 0 THEN r.balance END,
               CASE WHEN r.amount > 0 THEN r.held END, p_memo[r.i], r.changed_at
          FROM result AS r)
    SELECT p_op[r.i], 0::smallint, 'OK', id[r.i], r.account_id, r.asset, r.balance, r.held,
           r.floor, r.status, r.version, false, true, NULL::text
      FROM result AS r;
    GET DIAGNOSTICS posted = ROW_COUNT;
    IF posted = cardinality(p_op) THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT r.*
      FROM ballast.post_rest(p_commit, ballast.left_over(p_kind, p_account, moves, id), moves,
                             p_kind, p_key, p_account, p_peer, p_amount, p_target, p_memo,
                             p_op) AS r;
END
$$;

-- Tells the daemons that these accounts have changed: whoever changes accounts without being a
-- daemon calls this in the same transaction. The rows stay until a daemon has published the change,
-- however many NOTIFYs are lost and daemons are away; NOTIFY only wakes them. Its payload is empty,
-- so that a job of a million postings in one transaction sends one. Called last, with the accounts
-- locked: the rows here are then contended by nobody.
CREATE FUNCTION ballast.announce(accounts text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = ballast, pg_temp
AS $$
BEGIN
    INSERT INTO ballast.announcement (account_id, mark)
    SELECT DISTINCT x.account, pg_current_xact_id()::text::bigint
      FROM unnest(accounts) AS x (account)
     WHERE NOT ballast.is_system(x.account)
     ORDER BY x.account
    ON CONFLICT (account_id) DO UPDATE SET mark = excluded.mark;
    NOTIFY ballast_journal;
END
$$;

-- Posts one movement from SQL, with the same rules and keys as through a daemon: from a system
-- account is a credit, to a system account a debit, else a transfer. balance and version are
-- those of the account (of a transfer: of the payer) after the movement. A refusal is an outcome,
-- not an error. Daemons publish the change when the caller's transaction has committed.
CREATE FUNCTION ballast.post(
    key text, from_account text, to_account text, amount bigint, memo text DEFAULT NULL,
    OUT outcome text, OUT transfer bigint, OUT balance bigint, OUT version bigint,
    OUT duplicate boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    is_credit CONSTANT boolean := coalesce(ballast.is_system(from_account), false);
    is_debit CONSTANT boolean := coalesce(ballast.is_system(to_account), false);
    result ballast.post_result;
    changed text[] := '{}';
BEGIN
    duplicate := false;
    IF key IS NULL OR key !~ '^[\x21-\x7e]{1,128}$'
       OR from_account IS NULL OR from_account !~ '^(@[A-Za-z0-9_.:-]{1,63}|[A-Za-z0-9_.:-]{1,64})$'
       OR to_account IS NULL OR to_account !~ '^(@[A-Za-z0-9_.:-]{1,63}|[A-Za-z0-9_.:-]{1,64})$'
       OR amount IS NULL OR amount < 1 OR from_account = to_account
       OR is_credit AND is_debit THEN
        outcome := 'ERR';
        RETURN;
    END IF;
    -- What was posted is promised: it must not be lost with the last half second of a crash.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    -- Explicitly of the default collation: that of the caller's columns would be the one in which
    -- accounts are sorted, and locked.
    FOR result IN
        SELECT r.*
          FROM ballast.post_batch(
                   ARRAY[CASE WHEN is_credit THEN 'credit' WHEN is_debit THEN 'debit'
                              ELSE 'transfer' END],
                   ARRAY[key COLLATE "default"],
                   ARRAY[CASE WHEN is_credit THEN to_account ELSE from_account END
                         COLLATE "default"],
                   ARRAY[CASE WHEN is_credit THEN from_account ELSE to_account END
                         COLLATE "default"],
                   ARRAY[NULL::text], ARRAY[amount], ARRAY[NULL::bigint],
                   ARRAY[memo COLLATE "default"], ARRAY[0]) AS r
    LOOP
        IF result.part = 0 THEN
            outcome := result.outcome;
            transfer := result.id;
            duplicate := result.duplicate;
            balance := result.balance;
            version := result.version;
        END IF;
        -- Also of a refusal, or of a repetition: what has expired on the way.
        IF result.outcome = 'OK' AND NOT result.duplicate THEN
            changed := changed || result.account;
        END IF;
    END LOOP;
    IF cardinality(changed) > 0 THEN
        PERFORM ballast.announce(changed);
    END IF;
END
$$;

-- Which of these accounts somebody holds a lock on that a posting would wait for. Locks the others,
-- to the end of the transaction; waits for none.
CREATE FUNCTION ballast.locked_accounts(p_accounts text[]) RETURNS SETOF ballast.account
LANGUAGE sql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
    WITH free AS MATERIALIZED (
        SELECT a.account_id FROM ballast.account AS a
         WHERE a.account_id = ANY (p_accounts)
           FOR NO KEY UPDATE SKIP LOCKED)
    SELECT a.* FROM ballast.account AS a
     WHERE a.account_id = ANY (p_accounts)
       AND NOT EXISTS (SELECT FROM free AS f WHERE f.account_id = a.account_id)
$$;

GRANT EXECUTE ON FUNCTION ballast.locked_accounts(text[]) TO ballast_daemon;
GRANT EXECUTE ON FUNCTION ballast.post_batch(text[], text[], text[], text[], text[], bigint[],
    bigint[], text[], integer[], bigint, bigint) TO ballast_daemon;
GRANT EXECUTE ON FUNCTION ballast.post(text, text, text, bigint, text)
    TO ballast_poster, ballast_daemon;

RESET ROLE;
