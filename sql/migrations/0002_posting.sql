-- Posting: the only way in which money moves.
--
-- ballast.post_batch() takes an array of mutations and gives each its own outcome. Four ways do the
-- work:
--
--   post_one       a single credit or debit on which nothing is refused: a statement for many rows
--                  takes longer to begin than one row to post.
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
-- them, or FOR NO KEY UPDATE). The transaction takes its id before a transfer id, which
-- ballast.roll_up() relies on.

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

RESET ROLE;
