-- Reads that are functions for their settings: a plan that was made while a table was small must not
-- scan it until autovacuum has counted its rows, and none is made anew at every call.

SET LOCAL ROLE ballast_owner;

CREATE TYPE ballast.account_row AS (
    era_id bigint,
    era_state text,
    account_id text,
    asset text,
    balance bigint,
    held bigint,
    floor bigint,
    status text,
    version bigint
);

-- Present rows of accounts with the era of the same snapshot; one row without an account if none
-- of them exists. STABLE, here and below: all tables are read on the caller's snapshot.
CREATE FUNCTION ballast.read_accounts(p_accounts text[]) RETURNS SETOF ballast.account_row
LANGUAGE plpgsql STABLE
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT e.id, e.state, a.account_id::text, a.asset::text, a.balance, a.held::bigint, a.floor,
           a.status::text, a.version::bigint
      FROM ballast.era_seen AS e
      LEFT JOIN ballast.account AS a ON a.account_id = ANY (p_accounts);
END
$$;

CREATE TYPE ballast.history_row AS (
    era_id bigint,
    era_state text,
    account_id text,
    asset text,
    balance bigint,
    held bigint,
    floor bigint,
    status text,
    version bigint,
    transfer bigint,
    leg bigint,
    at_version bigint,
    amount bigint,
    at_balance bigint,
    counterparty text,
    kind text,
    key text,
    memo text,
    at text
);

-- The last movements of an account, so many at most of those before a version (NULL: all), newest
-- first, with its present row and the era; one row at least. Either side of the journal is read
-- backwards to the limit.
CREATE FUNCTION ballast.read_history(p_account text, p_before bigint, p_most bigint)
RETURNS SETOF ballast.history_row
LANGUAGE plpgsql STABLE
SET search_path = ballast, pg_temp
SET plan_cache_mode = force_generic_plan
SET jit = off
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
BEGIN
    RETURN QUERY
    SELECT e.id, e.state, a.account_id, a.asset, a.balance, a.held::bigint, a.floor,
           a.status::text, a.version::bigint, h.transfer, h.leg, h.version, h.amount, h.balance, h.counterparty, h.kind, h.key, h.memo,
           to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
      FROM ballast.era_seen AS e
      LEFT JOIN ballast.account AS a ON a.account_id = p_account
      LEFT JOIN LATERAL (
            (SELECT t.transfer, t.leg::bigint, t.from_version AS version, -t.amount AS amount,
                    t.from_balance AS balance, t.to_account AS counterparty, t.kind, t.key, t.memo, t.at
               FROM ballast.transfer AS t
              WHERE t.from_account = p_account AND t.from_version IS NOT NULL
                AND t.from_version < coalesce(p_before, 9223372036854775807)
              ORDER BY t.from_version DESC LIMIT p_most)
            UNION ALL
            (SELECT t.transfer, t.leg::bigint, t.to_version, t.amount, t.to_balance, t.from_account,
                    t.kind, t.key, t.memo, t.at
               FROM ballast.transfer AS t
              WHERE t.to_account = p_account AND t.to_version IS NOT NULL
                AND t.to_version < coalesce(p_before, 9223372036854775807)
              ORDER BY t.to_version DESC LIMIT p_most)
            ORDER BY version DESC LIMIT p_most) AS h ON true
     ORDER BY h.version DESC;
END
$$;

GRANT EXECUTE ON FUNCTION ballast.read_accounts(text[]), ballast.read_history(text, bigint, bigint)
    TO ballast_daemon, ballast_auditor;

RESET ROLE;
