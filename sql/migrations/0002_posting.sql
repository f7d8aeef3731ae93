-- Posting: the only way in which money moves.
--
-- ballast.post_batch() takes an array of mutations and gives each its own outcome. Four ways do the
-- work:
--
--   post_one       a single credit or debit on which nothing is refused: a statement for many rows
--                  takes longer to begin than one row to post. post_one_hold does it for a hold
--                  and for what ends one (0012_post_with_holds.sql).
--   the statement of post_batch itself  takes batches of nothing but credits and debits with
--                  different keys: set-based, no lock pass. The accounts on which something is
--                  refused, and the keys that were used before, it leaves to the last.
--   that of post_with_holds  the same where holds and ends of holds are among them
--                  (0012_post_with_holds.sql), begun at the price of three tables more.
--   post_in_order  everything else: reserves the keys, locks and loads the accounts, plays the
--                  batch in memory one operation after the other, and writes the result at once.
--                  It stands in 0011_post_in_order.sql, and what it asks in 0010_rules.sql.
--
-- All give exactly what posting the operations one by one, in array order, would give.
--
-- Locks, in this order, each step sorted, so that two batches cannot deadlock: keys (by inserting
-- them into mutation), accounts that are being opened (by inserting them), accounts (by updating
-- them, or FOR NO KEY UPDATE). One exception: an account that somebody else opens while a batch waits
-- for another is locked late, out of its turn; where that is a deadlock, the batch that the server
-- ends is sent again. The transaction takes its id before a transfer id, which ballast.roll_up()
-- relies on.

SET LOCAL ROLE ballast_owner;

-- One row of a batch's result.
--   part 0  exactly one an operation: outcome ('OK' or an error code), the id of the transfer,
--           hold or charge that it made, and the account's state after the operation (of a refused
--           one: its present state); detail says why it was refused, and when a hold expires
--   part 1  the other side of a transfer
--   part 2  present states of further accounts of this operation, which its reply must not show
--           but the cache must hear of
CREATE TYPE ballast.post_result AS (
    op integer,
    part smallint,
    outcome text,
    id bigint,
    account text,
    asset text,
    balance bigint,
    held bigint,
    floor bigint,
    status text,
    version bigint,
    duplicate boolean,
    changed boolean,
    detail text
);

CREATE FUNCTION ballast.is_system(account text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT starts_with(account, '@') $$;

-- The canonical words of a mutation (of a leg, for mtransfer): ids contain no space and the memo
-- stands last, so two different mutations never read alike.
CREATE FUNCTION ballast.words(kind text, account text, peer text, amount bigint, target bigint,
                              memo text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT kind || ' ' || coalesce(account, '') || ' ' || coalesce(peer, '') || ' '
        || coalesce(amount::text, '') || ' ' || coalesce(target::text, '')
        || coalesce(' ' || memo, '')
$$;

CREATE FUNCTION ballast.fingerprint(words text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended(words COLLATE "C", 0) $$;

-- What is wrong with the words of one row of a batch, NULL if nothing: what no state of the store
-- could make right. Callers have checked the syntax of ids; OPEN's is checked again because a
-- violated constraint would fail its neighbours.
CREATE FUNCTION ballast.words_error(kind text, key text, account text, peer text, asset text,
                                    amount bigint, target bigint, memo text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN kind IS NULL OR kind NOT IN ('open', 'credit', 'debit', 'transfer', 'mtransfer',
                                          'reverse', 'setfloor', 'close', 'suspend', 'resume',
                                          'hold', 'capture', 'release', 'charge', 'settle',
                                          'canspend', 'expire')
            THEN 'unknown kind of mutation'
        WHEN kind NOT IN ('open', 'canspend', 'expire')
         AND (key IS NULL OR octet_length(key) NOT BETWEEN 1 AND 128)
            THEN 'a key of 1 to 128 bytes is needed'
        WHEN kind = 'expire' THEN CASE
            WHEN amount IS NULL OR amount <= 0 THEN 'the number must be positive' END
        WHEN kind IN ('reverse', 'capture', 'release', 'settle') THEN CASE
            WHEN target IS NULL THEN 'what it is about is needed'
            WHEN amount <= 0 THEN 'the amount must be positive'
            WHEN kind = 'capture' AND ballast.is_system(peer) IS NOT TRUE
                THEN 'the counterparty must be a system account'
            WHEN kind = 'settle'
             AND coalesce(memo, '') NOT IN ('succeeded', 'failed', 'unknown')
                THEN 'what became of the charge is needed' END
        WHEN account IS NULL THEN 'an account is needed'
        WHEN kind IN ('credit', 'debit', 'transfer', 'mtransfer') THEN CASE
            WHEN peer IS NULL THEN 'both sides are needed'
            WHEN amount IS NULL OR amount <= 0 THEN 'the amount must be positive'
            WHEN account = peer THEN 'both sides are the same account'
            WHEN ballast.is_system(account) AND ballast.is_system(peer)
                THEN 'both sides are system accounts'
            WHEN kind IN ('credit', 'debit') AND ballast.is_system(account)
                THEN 'a system account is posted to from the other side'
            WHEN kind IN ('credit', 'debit') AND NOT ballast.is_system(peer)
                THEN 'the counterparty must be a system account' END
        WHEN ballast.is_system(account) THEN 'a system account has no state to change'
        WHEN kind = 'open' AND account !~ '^[A-Za-z0-9_.:-]{1,64}$' THEN 'bad account id'
        WHEN kind = 'open' AND (asset IS NULL OR asset !~ '^[A-Z0-9]{1,12}/(1[0-8]|[0-9])$')
            THEN 'bad asset'
        WHEN kind = 'setfloor' AND amount IS NULL THEN 'a floor is needed'
        WHEN kind IN ('hold', 'charge', 'canspend') AND (amount IS NULL OR amount <= 0)
            THEN 'the amount must be positive'
        WHEN kind = 'suspend' AND memo <> 'ifbelow' THEN 'no such condition'
        WHEN kind = 'hold' AND target NOT BETWEEN 1 AND 315360000
            THEN 'a hold lasts for 1 second to 10 years'
    END
$$;

-- --- what the set-based statements share -----------------------------------------------------------

-- Whether an account bears a run of postings: each that takes of what is available within its rules,
-- no balance beyond int64. lowest (of what is available, over those; NULL without one) and highest (of
-- balance, 0 at least) are relative to what was before the run, and within 2^62 of it; active: whether
-- something needs the account to be active. False may also mean "too close to call without
-- overflow": post_in_order then decides.
CREATE FUNCTION ballast.bears(a ballast.account, active boolean, lowest bigint, highest bigint)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT a.balance <= 9223372036854775807 - highest
       AND CASE WHEN active THEN a.status = 'active' ELSE a.status <> 'closed' END
       AND (lowest IS NULL OR a.floor <= 4611686018427387904
                              AND a.balance - a.held >= a.floor - least(lowest, 0))
$$;

-- sum() of what is known to stay within int64: that of bigint goes by way of numeric, for each row of a
-- window.
CREATE AGGREGATE ballast.total(bigint) (sfunc = int8pl, stype = bigint, initcond = '0');

-- What a set-based statement writes of its keys.
CREATE FUNCTION ballast.key_rows(
    p_kind text[], p_key text[], p_account text[], p_peer text[], p_amount bigint[],
    p_target bigint[], p_memo text[], p_id bigint[])
RETURNS TABLE (key text, kind text, fingerprint bigint, transfer bigint, made bigint)
LANGUAGE sql STABLE
AS $$
    SELECT p_key[i], p_kind[i],
           ballast.fingerprint(ballast.words(p_kind[i], p_account[i], p_peer[i], p_amount[i],
                                             p_target[i], p_memo[i])),
           CASE WHEN p_kind[i] NOT IN ('hold', 'release') THEN p_id[i] END,
           CASE WHEN p_kind[i] IN ('hold', 'release') THEN p_id[i] END
      FROM generate_subscripts(p_key, 1) AS i
     ORDER BY p_key[i]
$$;

-- Takes the keys of a set-based statement, all different and sorted: it waits for any other transaction
-- that holds one of them. Returns those that were new; NULL: all were. Being ready for a conflict costs
-- an insert as much again, so it is only where the session's last batch met one.
CREATE FUNCTION ballast.take_keys(
    p_kind text[], p_key text[], p_account text[], p_peer text[], p_amount bigint[],
    p_target bigint[], p_memo text[], p_id bigint[])
RETURNS text[]
LANGUAGE plpgsql
AS $$
DECLARE
    new_keys text[];
BEGIN
    IF current_setting('ballast.conflicts', true) IS DISTINCT FROM 'expected' THEN
        BEGIN
            INSERT INTO ballast.mutation (key, kind, fingerprint, transfer, made)
            SELECT r.* FROM ballast.key_rows(p_kind, p_key, p_account, p_peer, p_amount, p_target,
                                             p_memo, p_id) AS r;
            RETURN NULL;
        EXCEPTION WHEN unique_violation THEN
            PERFORM set_config('ballast.conflicts', 'expected', false);
        END;
    END IF;
    WITH new AS (
        INSERT INTO ballast.mutation (key, kind, fingerprint, transfer, made)
        SELECT r.* FROM ballast.key_rows(p_kind, p_key, p_account, p_peer, p_amount, p_target,
                                         p_memo, p_id) AS r
        ON CONFLICT (key) DO NOTHING
        RETURNING key::text)
    SELECT array_agg(key) INTO new_keys FROM new;
    IF cardinality(new_keys) = cardinality(p_key) THEN
        PERFORM set_config('ballast.conflicts', '', false);
        RETURN NULL;
    END IF;
    RETURN coalesce(new_keys, '{}');
END
$$;

-- Of what a set-based statement moves: NULL where the key was used before.
CREATE FUNCTION ballast.of_new_keys(p_key text[], p_new_keys text[], p_moves bigint[])
RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(SELECT CASE WHEN p_key[i] IN (SELECT unnest(p_new_keys)) THEN p_moves[i] END
                   FROM generate_subscripts(p_key, 1) AS i ORDER BY i)
$$;

-- Where in its arrays a set-based statement has left something: a key that was used before, an account
-- that it has deferred, or that was not there. Told by what it has written, since an account that was
-- opened meanwhile may be there by now. (A hold that is released was there, and so was its account.)
CREATE FUNCTION ballast.left_over(p_kind text[], p_account text[], p_new bigint[], p_id bigint[])
RETURNS integer[]
LANGUAGE plpgsql STABLE
AS $$
BEGIN
    RETURN ARRAY(
        SELECT i FROM generate_subscripts(p_kind, 1) AS i
         WHERE p_new[i] IS NULL
            OR NOT CASE p_kind[i]
                   WHEN 'hold' THEN EXISTS (SELECT FROM ballast.hold AS h
                                             WHERE h.hold = ANY (ARRAY[p_id[i]]))
                   WHEN 'release' THEN EXISTS (SELECT FROM ballast.account AS a
                                                WHERE a.account_id = ANY (ARRAY[p_account[i]])
                                                  AND NOT a.deferred)
                   ELSE EXISTS (SELECT FROM ballast.transfer AS t
                                 WHERE t.transfer = ANY (ARRAY[p_id[i]])) END
         ORDER BY i);
END
$$;

RESET ROLE;
