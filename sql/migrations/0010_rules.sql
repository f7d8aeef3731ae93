-- The rules for operations on one account, as functions of what was loaded of it under its lock.
-- post_in_order() asks them; none reads a row but target_of().
--
-- A refusal is a text: the outcome's code, a space, and what the store saw; NULL: it may be done.

SET LOCAL ROLE ballast_owner;

-- What is wrong with an operation that moves nothing. target: a charge's threshold; charge: the
-- intent that the account has open.
CREATE FUNCTION ballast.refusal(kind text, account text, version bigint, status text,
                                balance bigint, held bigint, floor bigint, amount bigint,
                                target bigint, charge bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN version = 0 THEN 'NOACCOUNT no account ' || account
        WHEN kind = 'release' THEN NULL
        WHEN kind = 'close' THEN CASE
            WHEN balance <> 0 OR held <> 0
                THEN format('NOTEMPTY balance %s, held %s', balance, held)
            WHEN charge IS NOT NULL
                THEN format('OPENCHARGE charge %s of %s is not settled', charge, account) END
        WHEN status = 'closed' THEN format('CLOSED account %s is closed', account)
        WHEN kind IN ('hold', 'canspend') THEN CASE
            WHEN status = 'suspended' THEN format('SUSPENDED account %s is suspended', account)
            WHEN balance::numeric - held - amount < floor
                THEN format('INSUFFICIENT available %s, floor %s, asked %s', balance - held, floor,
                            amount)
            WHEN kind = 'hold' AND held > 9223372036854775807 - amount
                THEN format('OVERFLOW held %s of %s cannot take %s more', held, account, amount) END
        WHEN kind = 'charge' THEN CASE
            WHEN charge IS NOT NULL
                THEN format('OPENCHARGE charge %s of %s is not settled', charge, account)
            WHEN balance - held >= coalesce(target, 0)
                THEN format('NOTDUE available %s, threshold %s', balance - held,
                            coalesce(target, 0))
            WHEN balance > 9223372036854775807 - amount
                THEN format('OVERFLOW balance %s of %s cannot take %s more', balance, account,
                            amount) END
    END
$$;

-- Whether an operation that may be done makes a version of the account. words: those of SUSPEND.
CREATE FUNCTION ballast.changes(kind text, status text, balance bigint, held bigint, floor bigint,
                                amount bigint, words text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE kind
        WHEN 'setfloor' THEN floor <> amount
        WHEN 'close' THEN status <> 'closed'
        WHEN 'suspend' THEN status = 'active' AND (words IS NULL OR balance - held < floor)
        WHEN 'resume' THEN status = 'suspended'
        ELSE kind IN ('hold', 'release')
    END
$$;

-- Why the fuse of charges (1) or suspensions (2) lets an operation not pass; blows it where this is
-- the first one that it stops.
CREATE FUNCTION ballast.fuse_refusal(fuse integer, is_first boolean) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_name CONSTANT text := (ARRAY['charges', 'suspensions'])[fuse];
BEGIN
    IF is_first THEN
        PERFORM ballast.blow_fuse(v_name);
    END IF;
    RETURN format('FUSE too many %s: the fuse is blown (`ballast fuse`)', v_name);
END
$$;

-- The hold or charge that an operation is about, under the lock of its account. version: that of
-- the account when the charge was settled.
CREATE FUNCTION ballast.target_of(kind text, target bigint,
                                  OUT state text, OUT amount bigint, OUT version bigint)
LANGUAGE sql STABLE
AS $$
    SELECT h.state, h.amount, NULL::bigint FROM ballast.hold AS h
     WHERE kind IN ('capture', 'release') AND h.hold = target
    UNION ALL
    SELECT c.state, c.amount, c.settled_version FROM ballast.charge AS c
     WHERE kind = 'settle' AND c.charge = target
$$;

-- What is wrong with what a hold or charge is asked to become.
CREATE FUNCTION ballast.target_refusal(kind text, target bigint, state text, words text,
                                       amount bigint, held bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN kind = 'settle' THEN CASE
            WHEN state IS NULL THEN 'NOCHARGE no charge ' || target
            WHEN state IN ('succeeded', 'failed') AND state <> words
                THEN format('SETTLED charge %s has %s', target, state) END
        WHEN state IS NULL THEN 'NOHOLD no hold ' || target
        WHEN state <> 'held' THEN format('NOHOLD hold %s is %s', target, state)
        WHEN amount > held
            THEN format('INSUFFICIENT hold %s holds %s, asked %s', target, held, amount)
    END
$$;

-- When a hold that begins now is over; without a time of its own after a week.
CREATE FUNCTION ballast.hold_end(at timestamptz, seconds bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT at + coalesce(seconds, 604800) * interval '1 second' $$;

RESET ROLE;
