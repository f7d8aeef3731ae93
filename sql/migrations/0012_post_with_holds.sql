-- What post_batch() itself does for credits and debits, for holds and their ends: one by itself, and
-- set-based, where they are among others. One statement for both was measured: for few credits and
-- debits it took half as long again.

SET LOCAL ROLE ballast_owner;

-- The same of a run that also holds and ends holds. most: of what is held, as highest is of the
-- balance; seen: the version that the account must still have, NULL for any, 0 for none.
CREATE FUNCTION ballast.bears(a ballast.account, active boolean, lowest bigint, highest bigint,
                              most bigint, seen bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.version = coalesce(seen, a.version) AND a.held <= 9223372036854775807 - most
       AND ballast.bears(a, active, lowest, highest)
$$;

-- A single hold, capture or release; as post_one(), and what is said of ends of holds in
-- post_with_holds() holds here.
CREATE FUNCTION ballast.post_one_hold(
    p_kind text, p_key text, p_account text, p_peer text, p_amount bigint, p_target bigint,
    p_memo text, p_op integer)
RETURNS ballast.post_result
LANGUAGE plpgsql
AS $$
DECLARE
    begins CONSTANT boolean := p_kind = 'hold';
    captures CONSTANT boolean := p_kind = 'capture';
    account text := p_account;
    change bigint := p_amount; -- of what is held
    taken bigint := 0;
    seen bigint;
    posted bigint;
    until timestamptz;
    a ballast.account;
BEGIN
    IF (octet_length(p_key) BETWEEN 1 AND 128
        AND coalesce(p_amount, CASE WHEN NOT begins THEN 1 END) BETWEEN 1 AND 4611686018427387903
        AND CASE WHEN begins THEN coalesce(p_target, 1) BETWEEN 1 AND 315360000
                 WHEN captures THEN ballast.is_system(p_peer) ELSE true END) IS NOT TRUE THEN
        RETURN NULL;
    END IF;
    IF NOT begins THEN
        SELECT h.account_id, -h.amount, CASE WHEN captures THEN coalesce(p_amount, h.amount) ELSE 0 END,
               x.version
          INTO account, change, taken, seen
          FROM ballast.hold AS h
          JOIN ballast.account AS x ON x.account_id = h.account_id
         WHERE h.hold = p_target AND h.state = 'held' AND h.expires > clock_timestamp()
           AND (NOT captures OR coalesce(p_amount, 0) <= h.amount);
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    END IF;
    INSERT INTO ballast.mutation (key, kind, fingerprint, transfer, made)
    VALUES (p_key, p_kind,
            ballast.fingerprint(ballast.words(p_kind, p_account, p_peer, p_amount, p_target, p_memo)),
            CASE WHEN captures THEN nextval('ballast.transfer_id') END,
            CASE WHEN begins THEN nextval('ballast.hold_id') WHEN NOT captures THEN p_target END)
    ON CONFLICT (key) DO NOTHING
    RETURNING coalesce(transfer, made) INTO posted;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    UPDATE ballast.account AS x
       SET balance = x.balance - taken, held = x.held + change, version = x.version + 1,
           changed_at = greatest(clock_timestamp(), x.changed_at), room = NULL
     WHERE x.account_id = account
       AND ballast.bears(x, begins OR captures, CASE WHEN begins THEN -change END, 0,
                         greatest(change, 0), seen)
    RETURNING x.* INTO a;
    IF NOT FOUND THEN
        DELETE FROM ballast.mutation AS m WHERE m.key = p_key;
        RETURN NULL;
    END IF;
    IF captures THEN
        INSERT INTO ballast.transfer (transfer, kind, key, asset, amount, from_account, from_version,
                                      from_balance, from_held, to_account, memo, at)
        VALUES (posted, p_kind, p_key, a.asset, taken, a.account_id, a.version, a.balance, a.held,
                p_peer, p_memo, a.changed_at);
    ELSE
        INSERT INTO ballast.account_event (account_id, version, balance, held, floor, status, kind,
                                           key, at, detail)
        VALUES (a.account_id, a.version, a.balance, a.held, a.floor, a.status, p_kind, p_key,
                a.changed_at, 'hold ' || posted);
    END IF;
    IF begins THEN
        INSERT INTO ballast.hold (hold, account_id, amount, version, begun_at, expires)
        VALUES (posted, a.account_id, change, a.version, a.changed_at,
                ballast.hold_end(clock_timestamp(), p_target))
        RETURNING expires INTO until;
    ELSE
        UPDATE ballast.hold AS h
           SET state = CASE WHEN captures THEN 'captured' ELSE 'released' END,
               ended_at = a.changed_at, transfer = CASE WHEN captures THEN posted END,
               released_version = CASE WHEN NOT captures THEN a.version END
         WHERE h.hold = p_target;
    END IF;
    RETURN (p_op, 0::smallint, 'OK', CASE WHEN begins OR captures THEN posted END, a.account_id,
            a.asset, a.balance, a.held, a.floor, a.status, a.version, false, true,
            ballast.moment(until))::ballast.post_result;
END
$$;

-- Arrays and result as for post_batch(), which calls this where it finds holds or ends of holds; with
-- anything but credits and debits beside them, it is all posted in order.
CREATE FUNCTION ballast.post_with_holds(
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
    account text[];
    moves bigint[];
    holds bigint[];
    seen bigint[];
    until timestamptz[];
    new_keys text[];
    posted bigint;
BEGIN
    -- Of the holds that are to end: the account and amount, which stay, and the version at which the
    -- account had them open. While it has that version they are: no hold ends without one of its own.
    -- So they are read before anything is locked, and not again; an account that another session has
    -- changed by then is posted in order. 0: it is over, or holds too little.
    SELECT count(DISTINCT p_key[i]) = count(*) AND count(DISTINCT h.hold) = count(h.hold)
           AND coalesce(sum(p_amount[i]), 0) + coalesce(sum(h.amount), 0) < 4611686018427387904
           AND bool_and(coalesce(octet_length(p_key[i]) BETWEEN 1 AND 128 AND CASE
                   WHEN p_kind[i] IN ('credit', 'debit')
                       THEN p_amount[i] > 0 AND ballast.is_system(p_peer[i])
                            AND NOT ballast.is_system(p_account[i])
                   WHEN p_kind[i] = 'hold'
                       THEN p_amount[i] > 0 AND NOT ballast.is_system(p_account[i])
                            AND coalesce(p_target[i], 1) BETWEEN 1 AND 315360000
                   WHEN p_kind[i] = 'capture'
                       THEN coalesce(p_amount[i], 1) > 0 AND ballast.is_system(p_peer[i])
                            AND p_target[i] IS NOT NULL
                   WHEN p_kind[i] = 'release'
                       THEN coalesce(p_amount[i], 1) > 0 AND p_target[i] IS NOT NULL
                   END, false)),
           array_agg(CASE p_kind[i] WHEN 'hold' THEN nextval('ballast.hold_id')
                                    WHEN 'release' THEN p_target[i]
                                    ELSE nextval('ballast.transfer_id') END),
           array_agg(CASE WHEN p_kind[i] IN ('capture', 'release') THEN h.account_id
                          ELSE p_account[i] END),
           array_agg(CASE p_kind[i] WHEN 'credit' THEN p_amount[i] WHEN 'debit' THEN -p_amount[i]
                                    WHEN 'capture' THEN -coalesce(p_amount[i], h.amount, 0)
                                    ELSE 0 END),
           array_agg(CASE p_kind[i] WHEN 'hold' THEN p_amount[i]
                                    WHEN 'capture' THEN -coalesce(h.amount, 0)
                                    WHEN 'release' THEN -coalesce(h.amount, 0)
                                    ELSE 0 END),
           array_agg(CASE WHEN h.state <> 'held' OR p_kind[i] = 'capture' AND p_amount[i] > h.amount
                          THEN 0 ELSE h.seen END),
           array_agg(h.expires)
      INTO at_once, id, account, moves, holds, seen, until
      FROM generate_subscripts(p_op, 1) AS i
      LEFT JOIN LATERAL (SELECT x.hold, x.account_id, x.amount, x.state, x.expires,
                                a.version::bigint AS seen
                           FROM ballast.hold AS x
                           JOIN ballast.account AS a ON a.account_id = x.account_id
                          WHERE p_kind[i] IN ('capture', 'release') AND x.hold = p_target[i]
                         OFFSET 0) AS h ON true;
    IF at_once IS NOT TRUE THEN
        RETURN QUERY SELECT * FROM ballast.post_and_note(p_commit, p_kind, p_key, p_account, p_peer,
                                                         p_asset, p_amount, p_target, p_memo, p_op);
        RETURN;
    END IF;

    -- As in post_batch(): the keys first; then every account is updated in sorted order, those that
    -- do not bear what is asked only in `deferred`.
    new_keys := ballast.take_keys(p_kind, p_key, p_account, p_peer, p_amount, p_target, p_memo, id);
    IF new_keys IS NOT NULL THEN
        moves := ballast.of_new_keys(p_key, new_keys, moves);
        holds := ballast.of_new_keys(p_key, new_keys, holds);
    END IF;

    RETURN QUERY
    WITH step AS MATERIALIZED (
        SELECT i, account[i] AS account, moves[i] AS move, holds[i] AS hold,
               count(moves[i]) OVER w AS nth, ballast.total(moves[i]) OVER w AS moved,
               ballast.total(holds[i]) OVER w AS held
          FROM generate_subscripts(p_op, 1) AS i
        WINDOW w AS (PARTITION BY account[i] ORDER BY i ROWS UNBOUNDED PRECEDING)
    ), run AS (
        SELECT s.account, count(s.move) AS versions, ballast.total(s.move) AS moved,
               ballast.total(s.hold) AS held,
               coalesce(bool_or(s.move < 0 OR s.hold > 0), false) AS active,
               min(s.moved - s.held) FILTER (WHERE s.hold > 0 OR s.move < 0 AND s.hold = 0)
                   AS lowest,
               greatest(max(s.moved), 0) AS highest, greatest(max(s.held), 0) AS most,
               CASE WHEN min(until[s.i]) FILTER (WHERE s.hold < 0) <= clock_timestamp() THEN 0
                    ELSE min(seen[s.i]) FILTER (WHERE s.hold < 0) END AS seen
          FROM step AS s
         GROUP BY s.account
         ORDER BY s.account
    ), changed AS (
        UPDATE ballast.account AS a
           SET balance = CASE WHEN ballast.bears(a, r.active, r.lowest, r.highest, r.most, r.seen)
                              THEN a.balance + r.moved ELSE a.balance END,
               held = CASE WHEN ballast.bears(a, r.active, r.lowest, r.highest, r.most, r.seen)
                           THEN a.held + r.held ELSE a.held END,
               version = CASE WHEN ballast.bears(a, r.active, r.lowest, r.highest, r.most, r.seen)
                              THEN a.version + r.versions ELSE a.version END,
               changed_at = CASE WHEN r.versions > 0
                                  AND ballast.bears(a, r.active, r.lowest, r.highest, r.most, r.seen)
                                 THEN greatest(clock_timestamp(), a.changed_at)
                                 ELSE a.changed_at END,
               deferred = NOT ballast.bears(a, r.active, r.lowest, r.highest, r.most, r.seen),
               room = NULL
          FROM run AS r
         WHERE a.account_id = ANY (ARRAY[r.account])
        RETURNING a.account_id, a.asset, a.balance, a.held::bigint, a.floor, a.status::text,
                  a.version::bigint, a.changed_at, a.deferred, r.moved AS run_moved,
                  r.held AS run_held, r.versions, clock_timestamp() AS now
    ), result AS MATERIALIZED (
        SELECT s.i, s.move, s.hold, c.account_id, c.asset,
               c.balance + (s.moved - c.run_moved) AS balance,
               c.held + (s.held - c.run_held) AS held, c.floor, c.status,
               c.version + (s.nth - c.versions) AS version, c.changed_at,
               CASE WHEN s.hold > 0 THEN ballast.hold_end(c.now, p_target[s.i]) END AS expires
          FROM step AS s
          JOIN changed AS c ON c.account_id = s.account
         WHERE s.move IS NOT NULL AND NOT c.deferred
    ), journal AS (
        INSERT INTO ballast.transfer (transfer, kind, key, asset, amount, from_account,
                                      from_version, from_balance, from_held, to_account,
                                      to_version, to_balance, to_held, memo, at)
        SELECT id[r.i], p_kind[r.i], p_key[r.i], r.asset, abs(r.move),
               CASE WHEN r.move < 0 THEN r.account_id ELSE p_peer[r.i] END,
               CASE WHEN r.move < 0 THEN r.version END,
               CASE WHEN r.move < 0 THEN r.balance END,
               CASE WHEN r.move < 0 THEN r.held END,
               CASE WHEN r.move < 0 THEN p_peer[r.i] ELSE r.account_id END,
               CASE WHEN r.move > 0 THEN r.version END,
               CASE WHEN r.move > 0 THEN r.balance END,
               CASE WHEN r.move > 0 THEN r.held END, p_memo[r.i], r.changed_at
          FROM result AS r
         WHERE r.move <> 0
    ), event AS (
        INSERT INTO ballast.account_event (account_id, version, balance, held, floor, status, kind,
                                           key, at, detail)
        SELECT r.account_id, r.version, r.balance, r.held, r.floor, r.status, p_kind[r.i],
               p_key[r.i], r.changed_at, 'hold ' || id[r.i]
          FROM result AS r
         WHERE r.move = 0
    ), begun AS (
        INSERT INTO ballast.hold (hold, account_id, amount, version, begun_at, expires)
        SELECT id[r.i], r.account_id, r.hold, r.version, r.changed_at, r.expires
          FROM result AS r
         WHERE r.hold > 0
    ), ended AS (
        UPDATE ballast.hold AS h
           SET state = CASE WHEN r.move < 0 THEN 'captured' ELSE 'released' END,
               ended_at = r.changed_at,
               transfer = CASE WHEN r.move < 0 THEN id[r.i] END,
               released_version = CASE WHEN r.move = 0 THEN r.version END
          FROM result AS r
         WHERE h.hold = ANY (ARRAY[p_target[r.i]]) AND r.hold < 0)
    SELECT p_op[r.i], 0::smallint, 'OK', CASE WHEN r.move <> 0 OR r.hold > 0 THEN id[r.i] END,
           r.account_id, r.asset, r.balance, r.held, r.floor, r.status, r.version, false, true,
           ballast.moment(r.expires)
      FROM result AS r;
    GET DIAGNOSTICS posted = ROW_COUNT;
    IF posted = cardinality(p_op) THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT r.*
      FROM ballast.post_rest(p_commit, ballast.left_over(p_kind, account, moves, id), moves,
                             p_kind, p_key, p_account, p_peer, p_amount, p_target, p_memo,
                             p_op) AS r;
END
$$;

RESET ROLE;
