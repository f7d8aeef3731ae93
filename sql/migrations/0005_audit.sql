-- Reading back: balances at a time, balances of system accounts, and the records of the nightly
-- reconciliation and of rebuilds.

SET LOCAL ROLE ballast_owner;

-- When an account got a version: its row is in the journal, on either side, or among the events.
CREATE FUNCTION ballast.version_time(p_account text, p_version bigint) RETURNS timestamptz
LANGUAGE sql STABLE
AS $$
    SELECT t.at FROM ballast.transfer AS t
     WHERE t.to_account = p_account AND t.to_version = p_version
    UNION ALL
    SELECT t.at FROM ballast.transfer AS t
     WHERE t.from_account = p_account AND t.from_version = p_version
    UNION ALL
    SELECT e.at FROM ballast.account_event AS e
     WHERE e.account_id = p_account AND e.version = p_version
    LIMIT 1
$$;

-- The last version that an account had at a time, NULL before it was opened. Versions have no gaps
-- and their times do not run backwards, so it is found by bisection: some 30 index look-ups
-- however long the history is. Runs on the caller's snapshot.
CREATE FUNCTION ballast.version_at(p_account text, p_version bigint, p_at timestamptz)
RETURNS bigint
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    -- p_at is at or after the time of version `low`, before that of version `high`.
    low bigint := 0;
    high bigint := p_version;
    middle bigint;
BEGIN
    IF p_version IS NULL THEN
        RETURN NULL;
    END IF;
    IF ballast.version_time(p_account, high) <= p_at THEN
        RETURN high;
    END IF;
    WHILE high - low > 1 LOOP
        middle := low + (high - low) / 2;
        IF ballast.version_time(p_account, middle) <= p_at THEN
            low := middle;
        ELSE
            high := middle;
        END IF;
    END LOOP;
    RETURN nullif(low, 0);
END
$$;

-- Moves what is safe of the journal into system_balance; returns the id up to which all is in.
--
-- Ids are handed out before the commit, so an id below one that is visible may still be to come.
-- A value of the sequence is safe once every transaction has ended that has drawn an id up to it.
-- Posting takes its transaction id before a transfer id, and the roll-up its own after it has read
-- the value: those transactions are all older than its own. (A snapshot's xmax would not do: the
-- youngest of those that run may be beyond it.) The first call notes the pair, a later one finds it
-- ripe and sums; none waits. It must be the first in its transaction that takes an id.
CREATE FUNCTION ballast.roll_up() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
DECLARE
    state ballast.system_roll_up;
    last_id bigint;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'ballast.roll_up() needs a transaction of its own'
            USING ERRCODE = 'active_sql_transaction';
    END IF;
    SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END INTO STRICT last_id
      FROM ballast.transfer_id AS s;
    SELECT * INTO STRICT state FROM ballast.system_roll_up FOR UPDATE;
    IF state.pending_xact >= pg_snapshot_xmax(pg_current_snapshot()) THEN
        state.pending_upto := NULL; -- of the server that a dump was taken from: begun anew
    END IF;
    IF state.pending_upto IS NOT NULL
       AND pg_snapshot_xmin(pg_current_snapshot()) >= state.pending_xact THEN
        INSERT INTO ballast.system_balance AS b (account_id, asset, balance)
        SELECT x.account_id, x.asset, sum(x.amount)
          FROM (SELECT t.from_account AS account_id, t.asset, -t.amount::numeric AS amount
                  FROM ballast.transfer AS t
                 WHERE t.transfer > state.upto AND t.transfer <= state.pending_upto
                   AND t.from_version IS NULL
                 UNION ALL
                SELECT t.to_account, t.asset, t.amount
                  FROM ballast.transfer AS t
                 WHERE t.transfer > state.upto AND t.transfer <= state.pending_upto
                   AND t.to_version IS NULL) AS x
         GROUP BY x.account_id, x.asset
        ON CONFLICT (account_id, asset) DO UPDATE SET balance = b.balance + excluded.balance;
        state.upto := state.pending_upto;
        state.pending_upto := NULL;
    END IF;
    IF state.pending_upto IS NULL THEN
        state.pending_upto := greatest(last_id, state.upto);
        state.pending_xact := pg_current_xact_id();
    END IF;
    UPDATE ballast.system_roll_up
       SET upto = state.upto, pending_upto = state.pending_upto,
           pending_xact = state.pending_xact;
    RETURN state.upto;
END
$$;

-- Refusals whose daemon did not come back for them are forgotten on this occasion.
CREATE FUNCTION ballast.reconciliation_start(p_runner text, p_sample double precision,
                                             p_repair boolean) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
    DELETE FROM ballast.refusal WHERE at < now() - interval '1 day';
    INSERT INTO ballast.reconciliation_run (runner, sample, repair)
    VALUES (p_runner, p_sample, p_repair) RETURNING run
$$;

CREATE FUNCTION ballast.reconciliation_finish(p_run bigint, p_accounts bigint, p_transfers bigint,
                                              p_findings bigint, p_repaired bigint, p_result text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    UPDATE ballast.reconciliation_run
       SET finished_at = clock_timestamp(), accounts = p_accounts, transfers = p_transfers,
           findings = p_findings, repaired = p_repaired, result = p_result
     WHERE run = p_run AND result = 'running';
    RETURN FOUND;
END
$$;

CREATE FUNCTION ballast.reconciliation_note(p_run bigint, p_account text, p_check text,
                                            p_expected text, p_found text, p_repaired boolean)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
    INSERT INTO ballast.reconciliation_finding (run, account_id, "check", expected, found, repaired)
    VALUES (p_run, p_account, p_check, p_expected, p_found, p_repaired) RETURNING finding
$$;

CREATE FUNCTION ballast.rebuild_start(p_runner text, p_era bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
    INSERT INTO ballast.rebuild_run (runner, era) VALUES (p_runner, p_era) RETURNING run
$$;

CREATE FUNCTION ballast.rebuild_progress(p_run bigint, p_accounts bigint, p_written bigint,
                                         p_state text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ballast, pg_temp
AS $$
BEGIN
    UPDATE ballast.rebuild_run
       SET accounts = p_accounts, written = p_written, state = p_state,
           finished_at = CASE WHEN p_state <> 'running' THEN clock_timestamp() END
     WHERE run = p_run AND state = 'running';
    RETURN FOUND;
END
$$;

GRANT EXECUTE ON FUNCTION ballast.version_time(text, bigint),
    ballast.version_at(text, bigint, timestamptz) TO ballast_daemon, ballast_auditor;
GRANT EXECUTE ON FUNCTION ballast.roll_up(),
    ballast.reconciliation_start(text, double precision, boolean),
    ballast.reconciliation_finish(bigint, bigint, bigint, bigint, bigint, text),
    ballast.reconciliation_note(bigint, text, text, text, text, boolean),
    ballast.rebuild_start(text, bigint),
    ballast.rebuild_progress(bigint, bigint, bigint, text) TO ballast_daemon;

RESET ROLE;
