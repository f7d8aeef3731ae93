-- The entry points of posting: post_batch() for daemons, post() for people and jobs.

SET LOCAL ROLE ballast_owner;

-- Posts a batch. Parallel arrays, one row an operation, or a leg of an mtransfer; op numbers the
-- operations, ascending, equal for the legs of one mtransfer. What each kind uses:
--   open       account, asset, amount = floor (NULL: 0); no key
--   credit     account, amount, peer = the system account that it comes from, memo
--   debit      account, amount, peer = the system account that it goes to, memo
--   transfer   account = payer, peer = payee, amount, memo
--   mtransfer  account = payer, peer = payee, amount, a row a leg
--   reverse    target = transfer, amount (NULL: all that is left)
--   setfloor   account, amount = floor
--   close      account
-- Result: see ballast.post_result; ordered by op, part. An operation that is refused or malformed
-- leaves no trace and disturbs no other. Does not notify: its callers publish.
CREATE FUNCTION ballast.post_batch(
    kind text[], key text[], account text[], peer text[], asset text[], amount bigint[],
    target bigint[], memo text[], op integer[])
RETURNS SETOF ballast.post_result
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    -- The transaction's id before any transfer id: see ballast.roll_up().
    PERFORM pg_current_xact_id();
    RETURN QUERY SELECT * FROM ballast.post_in_order(kind, key, account, peer, asset, amount,
                                                     target, memo, op);
END
$$;

-- Posts one movement from SQL, with the same rules and keys as through a daemon: from a system
-- account is a credit, to a system account a debit, else a transfer. balance and version are
-- those of the account (of a transfer: of the payer) after the movement. A refusal is an outcome,
-- not an error. Daemons are told by NOTIFY when the caller's transaction commits, and publish
-- what the journal says; a lost NOTIFY costs them a moment, not the change.
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
    SELECT r.* INTO STRICT result
      FROM ballast.post_batch(
               ARRAY[CASE WHEN is_credit THEN 'credit' WHEN is_debit THEN 'debit'
                          ELSE 'transfer' END],
               ARRAY[key],
               ARRAY[CASE WHEN is_credit THEN to_account ELSE from_account END],
               ARRAY[CASE WHEN is_credit THEN from_account ELSE to_account END],
               ARRAY[NULL::text], ARRAY[amount], ARRAY[NULL::bigint], ARRAY[memo], ARRAY[0]) AS r
     WHERE r.part = 0;
    outcome := result.outcome;
    transfer := result.id;
    duplicate := result.duplicate;
    balance := result.balance;
    version := result.version;
    IF outcome = 'OK' AND NOT duplicate THEN
        PERFORM pg_notify('ballast_journal',
                          concat_ws(' ', CASE WHEN NOT is_credit THEN from_account END,
                                    CASE WHEN NOT is_debit THEN to_account END));
    END IF;
END
$$;

GRANT EXECUTE ON FUNCTION ballast.post_batch(text[], text[], text[], text[], text[], bigint[],
    bigint[], text[], integer[]) TO ballast_daemon;
GRANT EXECUTE ON FUNCTION ballast.post(text, text, text, bigint, text)
    TO ballast_poster, ballast_daemon;

RESET ROLE;
