-- The hottest read.

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
-- of them exists. A function for its settings: a plan that was made while the table was small
-- must not scan it for every batch of misses until autovacuum has counted its rows. STABLE: both
-- tables are read on the caller's snapshot.
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
    SELECT e.id, e.state, a.account_id::text, a.asset::text, a.balance, a.held, a.floor,
           a.status::text, a.version
      FROM ballast.era_seen AS e
      LEFT JOIN ballast.account AS a ON a.account_id = ANY (p_accounts);
END
$$;

GRANT EXECUTE ON FUNCTION ballast.read_accounts(text[]) TO ballast_daemon, ballast_auditor;

RESET ROLE;
