-- Batches of nothing but holds, set-based: what post_batch() does for credits and debits, for the
-- other kind of posting that comes by the thousand.

SET LOCAL ROLE ballast_owner;

-- Whether an account bears holds of that much together, at most 2^62. False may also mean "too close
-- to call without overflow", or that holds must be ended first: post_in_order then decides.
CREATE FUNCTION ballast.bears_holds(a ballast.account, amount bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.status = 'active' AND a.floor <= 4611686018427387904
       AND a.balance - a.held >= a.floor + amount AND a.held <= 9223372036854775807 - amount
$$;

-- Arrays and result as for post_batch(), which calls this where every kind is hold.
CREATE FUNCTION ballast.post_holds(
    p_commit bigint, p_kind text[], p_key text[], p_account text[], p_peer text[], p_asset text[],
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
    at_once boolean;
    id bigint[];
    delta bigint[];
    rest integer[];
    posted bigint;
BEGIN
    SELECT count(DISTINCT p_key[i]) = count(*) AND sum(p_amount[i]) < 4611686018427387904
           AND bool_and(coalesce(p_amount[i] > 0 AND octet_length(p_key[i]) BETWEEN 1 AND 128
                                 AND NOT ballast.is_system(p_account[i])
                                 AND coalesce(p_target[i], 1) BETWEEN 1 AND 315360000, false)),
           array_agg(nextval('ballast.hold_id')), array_agg(p_amount[i])
      INTO at_once, id, delta
      FROM generate_subscripts(p_op, 1) AS i;
    IF at_once IS NOT TRUE THEN
        RETURN QUERY SELECT * FROM ballast.post_and_note(p_commit, p_kind, p_key, p_account, p_peer,
                                                         p_asset, p_amount, p_target, p_memo, p_op);
        RETURN;
    END IF;

    -- As in post_batch(): the keys first; then every account is updated in sorted order, those that
    -- do not bear what is asked only in `deferred`.
    INSERT INTO ballast.mutation (key, kind, fingerprint, made)
    SELECT p_key[i], 'hold',
           ballast.fingerprint(ballast.words('hold', p_account[i], p_peer[i], p_amount[i],
                                             p_target[i], p_memo[i])), id[i]
      FROM generate_subscripts(p_op, 1) AS i
     ORDER BY p_key[i]
    ON CONFLICT (key) DO NOTHING;
    GET DIAGNOSTICS posted = ROW_COUNT;
    IF posted < cardinality(p_op) THEN
        delta := ballast.of_new_keys(p_kind, p_key, id, delta);
    END IF;
    RETURN QUERY
    WITH step AS MATERIALIZED (
        SELECT i, p_account[i] AS account, delta[i] AS amount, count(delta[i]) OVER w AS nth,
               (sum(delta[i]) OVER w)::bigint AS running
          FROM generate_subscripts(p_op, 1) AS i
        WINDOW w AS (PARTITION BY p_account[i] ORDER BY i ROWS UNBOUNDED PRECEDING)
    ), run AS (
        SELECT account, count(amount) AS versions, coalesce(sum(amount), 0)::bigint AS amount
          FROM step
         GROUP BY account
         ORDER BY account
    ), changed AS (
        UPDATE ballast.account AS a
           SET held = CASE WHEN ballast.bears_holds(a, r.amount)
                           THEN a.held + r.amount ELSE a.held END,
               version = CASE WHEN ballast.bears_holds(a, r.amount)
                              THEN a.version + r.versions ELSE a.version END,
               changed_at = CASE WHEN r.versions > 0 AND ballast.bears_holds(a, r.amount)
                                 THEN greatest(clock_timestamp(), a.changed_at)
                                 ELSE a.changed_at END,
               deferred = NOT ballast.bears_holds(a, r.amount)
          FROM run AS r
         WHERE a.account_id = ANY (ARRAY[r.account])
        RETURNING a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version,
                  a.changed_at, a.deferred, r.amount, r.versions, clock_timestamp() AS now
    ), result AS MATERIALIZED (
        SELECT s.i, c.account_id, c.asset, c.balance, c.held + (s.running - c.amount) AS held,
               c.floor, c.status, c.version + (s.nth - c.versions) AS version, c.changed_at,
               ballast.hold_end(c.now, p_target[s.i]) AS expires
          FROM step AS s
          JOIN changed AS c ON c.account_id = s.account
         WHERE s.amount IS NOT NULL AND NOT c.deferred
    ), begun AS (
        INSERT INTO ballast.hold (hold, account_id, amount, version, begun_at, expires)
        SELECT id[r.i], r.account_id, p_amount[r.i], r.version, r.changed_at, r.expires
          FROM result AS r
    ), event AS (
        INSERT INTO ballast.account_event (account_id, version, balance, held, floor, status, kind,
                                           key, at, detail)
        SELECT r.account_id, r.version, r.balance, r.held, r.floor, r.status, 'hold', p_key[r.i],
               r.changed_at, 'hold ' || id[r.i]
          FROM result AS r)
    SELECT p_op[r.i], 0::smallint, 'OK', id[r.i], r.account_id, r.asset, r.balance, r.held,
           r.floor, r.status, r.version, false, true, ballast.moment(r.expires)
      FROM result AS r;
    GET DIAGNOSTICS posted = ROW_COUNT;
    IF posted = cardinality(p_op) THEN
        RETURN;
    END IF;

    rest := ARRAY(SELECT i FROM generate_subscripts(p_op, 1) AS i
                   WHERE NOT EXISTS (SELECT FROM ballast.hold AS h
                                      WHERE h.hold = ANY (ARRAY[id[i]]))
                   ORDER BY i);
    RETURN QUERY
    SELECT r.*
      FROM ballast.post_rest(p_commit, rest, id, p_kind, p_key, p_account, p_peer, p_amount,
                             p_target, p_memo, p_op) AS r;
END
$$;

RESET ROLE;
