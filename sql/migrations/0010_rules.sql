-- What post_in_order() asks: where the money of a batch goes, what keys have done before, and the
-- rules for operations, as functions of what was loaded under the locks of their accounts.
--
-- An objection is a text: the outcome's code, a space, and what the store saw; NULL: it may be done.

SET LOCAL ROLE ballast_owner;

-- The legs of a batch, in order, by the row of its arrays. A reverse has those of its target with the
-- sides exchanged, the last one first; moved is what that leg moved. An operation that moves nothing
-- has one leg, which names its account as the payer.
CREATE FUNCTION ballast.legs(p_kind text[], p_account text[], p_peer text[], p_amount bigint[],
                             p_target bigint[])
RETURNS TABLE (i integer, leg smallint, kind text, moved bigint, amount bigint, payer text,
               payee text)
LANGUAGE sql STABLE
AS $$
    SELECT n.i, g.leg, g.kind, g.amount,
           CASE p_kind[n.i] WHEN 'capture' THEN coalesce(p_amount[n.i], b.amount)
                            WHEN 'settle' THEN b.amount
                            ELSE p_amount[n.i] END,
           CASE p_kind[n.i] WHEN 'credit' THEN p_peer[n.i]
                            WHEN 'reverse' THEN g.to_account
                            WHEN 'settle' THEN '@world'
                            WHEN 'capture' THEN b.account_id
                            WHEN 'release' THEN b.account_id
                            ELSE p_account[n.i] END,
           CASE p_kind[n.i] WHEN 'credit' THEN p_account[n.i]
                            WHEN 'reverse' THEN g.from_account
                            WHEN 'settle' THEN b.account_id
                            ELSE p_peer[n.i] END
      FROM generate_subscripts(p_kind, 1) AS n (i)
      LEFT JOIN LATERAL (SELECT h.account_id, h.amount
                           FROM ballast.hold AS h
                          WHERE p_kind[n.i] IN ('capture', 'release') AND h.hold = p_target[n.i]
                         UNION ALL
                         SELECT c.account_id, c.amount
                           FROM ballast.charge AS c
                          WHERE p_kind[n.i] = 'settle' AND c.charge = p_target[n.i]
                         OFFSET 0) AS b ON true
      LEFT JOIN LATERAL (SELECT j.leg, j.kind, j.amount, j.from_account, j.to_account
                           FROM ballast.transfer AS j
                          WHERE p_kind[n.i] = 'reverse' AND j.transfer = p_target[n.i]
                         OFFSET 0) AS g ON true
     ORDER BY n.i, g.leg DESC
$$;

-- The operations of a batch, in order: their first and last leg, what is wrong with their words, and
-- the first sound operation of the batch with the same key. l_* as in post_in_order().
CREATE FUNCTION ballast.operations(l_op integer[], l_row integer[], l_error text[], l_words text[],
                                   l_target_kind text[], p_kind text[], p_key text[])
RETURNS TABLE (op integer, kind text, key text, "row" integer, leg integer, last_leg integer,
               error text, words text, key_at integer, multi boolean)
LANGUAGE sql STABLE
AS $$
    SELECT l_op[z.leg], p_kind[z.row], p_key[z.row], z.row, z.leg, z.last_leg, z.error,
           CASE WHEN z.leg < z.last_leg AND p_kind[z.row] = 'mtransfer'
                THEN (SELECT string_agg(l_words[n], E'\n' ORDER BY n)
                        FROM generate_series(z.leg, z.last_leg) AS n)
                ELSE l_words[z.leg] END,
           CASE WHEN z.error IS NULL AND p_key[z.row] IS NOT NULL
                THEN first_value(z.o) OVER (PARTITION BY p_key[z.row], z.error IS NULL
                                            ORDER BY z.o) END,
           p_kind[z.row] = 'mtransfer' OR coalesce(l_target_kind[z.leg] = 'mtransfer', false)
      FROM (SELECT y.o, y.leg, y.last_leg, l_row[y.leg] AS row,
                   CASE WHEN y.leg = y.last_leg THEN l_error[y.leg]
                        ELSE (SELECT min(l_error[n])
                                FROM generate_series(y.leg, y.last_leg) AS n) END AS error
              FROM (SELECT n AS leg, (row_number() OVER (ORDER BY n))::integer AS o,
                           lead(n, 1, cardinality(l_op) + 1) OVER (ORDER BY n) - 1 AS last_leg
                      FROM generate_subscripts(l_op, 1) AS n
                     WHERE n = 1 OR l_op[n] <> l_op[n - 1]) AS y) AS z
     ORDER BY z.o
$$;

-- What is left to reverse of the leg that each leg is the reverse of, kept at the place of its first
-- use in the batch.
CREATE FUNCTION ballast.left_to_reverse(p_transfer bigint[], p_leg smallint[], p_moved bigint[])
RETURNS TABLE (amount bigint, left_at integer)
LANGUAGE sql STABLE
AS $$
    SELECT p_moved[n] - coalesce((SELECT v.amount FROM ballast.reversal AS v
                                   WHERE v.transfer = p_transfer[n] AND v.leg = p_leg[n]), 0),
           first_value(n) OVER (PARTITION BY p_transfer[n], p_leg[n] ORDER BY n)
      FROM generate_subscripts(p_transfer, 1) AS n
     ORDER BY n
$$;

-- What a key has done, where it has done something: the transfer or what it made, the account and
-- version, and whether that version is its own.
CREATE FUNCTION ballast.key_owner(p_key text)
RETURNS TABLE (fingerprint bigint, transfer bigint, made bigint, account_id text, version bigint,
               changed boolean)
LANGUAGE sql STABLE
AS $$
    SELECT m.fingerprint, m.transfer, m.made, coalesce(m.account_id, b.account_id),
           coalesce(m.version, b.version),
           m.kind = 'release'
           OR EXISTS (SELECT FROM ballast.account_event AS e
                       WHERE e.account_id = m.account_id AND e.version = m.version AND e.key = m.key)
      FROM ballast.mutation AS m
      LEFT JOIN LATERAL (SELECT h.account_id, CASE m.kind WHEN 'hold' THEN h.version
                                                           ELSE h.released_version END AS version
                           FROM ballast.hold AS h
                          WHERE m.kind IN ('hold', 'release') AND h.hold = m.made
                         UNION ALL
                         SELECT c.account_id, c.version FROM ballast.charge AS c
                          WHERE m.kind = 'charge' AND c.charge = m.made
                         OFFSET 0) AS b ON true
     WHERE m.key = ANY (ARRAY[p_key])
$$;

-- An account as one of its versions left it; floor and status are of events alone.
CREATE FUNCTION ballast.state_at(p_account text, p_version bigint)
RETURNS TABLE (balance bigint, held bigint, floor bigint, status text)
LANGUAGE sql STABLE
AS $$
    SELECT e.balance, e.held, e.floor, e.status FROM ballast.account_event AS e
     WHERE e.account_id = p_account AND e.version = p_version
    UNION ALL
    SELECT x.from_balance, x.from_held, NULL, NULL FROM ballast.transfer AS x
     WHERE x.from_account = p_account AND x.from_version = p_version
    UNION ALL
    SELECT x.to_balance, x.to_held, NULL, NULL FROM ballast.transfer AS x
     WHERE x.to_account = p_account AND x.to_version = p_version
$$;

-- What is wrong with an operation that moves nothing. due: what of held counts as free (due_amounts());
-- target: a charge's threshold; charge: the intent that the account has open.
CREATE FUNCTION ballast.objection(kind text, account text, version bigint, status text,
                                balance bigint, held bigint, due bigint, floor bigint,
                                amount bigint, target bigint, charge bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN version = 0 THEN 'NOACCOUNT no account ' || account
        WHEN kind = 'release' THEN NULL
        WHEN kind = 'close' THEN CASE
            WHEN balance <> 0 OR held <> due
                THEN format('NOTEMPTY balance %s, held %s', balance, held - due)
            WHEN charge IS NOT NULL
                THEN format('OPENCHARGE charge %s of %s is not settled', charge, account) END
        WHEN status = 'closed' THEN format('CLOSED account %s is closed', account)
        WHEN kind IN ('hold', 'canspend') THEN CASE
            WHEN status = 'suspended' THEN format('SUSPENDED account %s is suspended', account)
            WHEN balance::numeric - (held - due) - amount < floor
                THEN format('INSUFFICIENT available %s, floor %s, asked %s', balance - (held - due),
                            floor, amount)
            WHEN kind = 'hold' AND held > 9223372036854775807 - amount
                THEN format('OVERFLOW held %s of %s cannot take %s more', held, account, amount) END
        WHEN kind = 'charge' THEN CASE
            WHEN charge IS NOT NULL
                THEN format('OPENCHARGE charge %s of %s is not settled', charge, account)
            WHEN balance - (held - due) >= coalesce(target, 0)
                THEN format('NOTDUE available %s, threshold %s', balance - (held - due),
                            coalesce(target, 0))
            WHEN balance > 9223372036854775807 - amount
                THEN format('OVERFLOW balance %s of %s cannot take %s more', balance, account,
                            amount) END
    END
$$;

-- What is wrong with a leg of a movement. What is of a system account is NULL; payer_held: less what of
-- it counts as free (due_amounts()).
CREATE FUNCTION ballast.leg_objection(
    kind text, amount bigint, payer text, payer_version bigint, payer_asset text,
    payer_status text, payer_balance bigint, payer_held bigint, payer_floor bigint, payee text,
    payee_version bigint, payee_asset text, payee_status text, payee_balance bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN payer_version = 0 THEN 'NOACCOUNT no account ' || payer
        WHEN payee_version = 0 THEN 'NOACCOUNT no account ' || payee
        WHEN payer_asset <> payee_asset
            THEN format('ASSET %s holds %s, %s holds %s', payer, payer_asset, payee, payee_asset)
        WHEN payer_status <> 'active'
            THEN format('%s account %s is %s', upper(payer_status), payer, payer_status)
        WHEN payee_status = 'closed' THEN format('CLOSED account %s is closed', payee)
        WHEN kind <> 'capture' -- which was promised
         AND payer_balance::numeric - payer_held - amount < payer_floor
            THEN format('INSUFFICIENT available %s, floor %s, asked %s', payer_balance - payer_held,
                        payer_floor, amount)
        WHEN payee_balance > 9223372036854775807 - amount
            THEN format('OVERFLOW balance %s of %s cannot take %s more', payee_balance, payee, amount)
    END
$$;

-- What is wrong with a reverse of a transfer. kind: of that transfer, NULL where there is none; amount:
-- what is asked, NULL for all; left_over: what is left of its first leg.
CREATE FUNCTION ballast.reverse_objection(target bigint, kind text, has_legs boolean, amount bigint,
                                          left_over bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN kind IS NULL THEN 'NOTRANSFER no transfer ' || target
        WHEN kind = 'reverse' THEN 'ERR a reverse cannot be reversed'
        WHEN has_legs AND amount IS NOT NULL
            THEN 'ERR a transfer of several legs is reversed only as a whole'
        WHEN left_over = 0 THEN 'ERR nothing is left of the transfer to reverse'
        WHEN amount > left_over
            THEN format('ERR more than the transfer moved: %s left to reverse', left_over)
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

-- Why the fuse of charges (1) or suspensions (2) lets an operation not pass.
CREATE FUNCTION ballast.fuse_objection(fuse integer) RETURNS text
LANGUAGE sql STABLE
AS $$
    SELECT format('FUSE too many %s: the fuse is blown (`ballast fuse`)',
                  (ARRAY['charges', 'suspensions'])[fuse])
$$;

-- Records what a batch has decided, and then blows the fuses that stopped it: those below 0 of what
-- fuses_left() had said, NULL where it was not asked.
CREATE FUNCTION ballast.record_decisions(p_decided ballast.decided[], p_left bigint[])
RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM ballast.note_decisions(p_decided);
    PERFORM ballast.blow_fuse(f.name)
       FROM unnest(ARRAY['charges', 'suspensions']) WITH ORDINALITY AS f (name, i)
      WHERE p_left[f.i] < 0;
END
$$;

-- The holds and charges that operations are about, under the locks of their accounts: one row an
-- operation. at: the first operation that is about the same one, NULL where it is about none;
-- version: that of the account when the charge was settled. A hold whose time was up by p_now has
-- expired, also where that is to be posted yet.
CREATE FUNCTION ballast.targets(p_kind text[], p_target bigint[], p_now timestamptz)
RETURNS TABLE (at integer, state text, amount bigint, version bigint)
LANGUAGE sql STABLE
AS $$
    SELECT CASE WHEN p_kind[n] IN ('capture', 'release', 'settle')
                THEN first_value(n) OVER (PARTITION BY p_kind[n] = 'settle',
                                                       p_kind[n] IN ('capture', 'release'),
                                                       p_target[n] ORDER BY n) END,
           b.state, b.amount, b.version
      FROM generate_subscripts(p_kind, 1) AS n
      LEFT JOIN LATERAL (SELECT CASE WHEN h.state = 'held' AND h.expires <= p_now THEN 'expired'
                                     ELSE h.state END AS state,
                                h.amount, NULL::bigint AS version
                           FROM ballast.hold AS h
                          WHERE p_kind[n] IN ('capture', 'release') AND h.hold = p_target[n]
                         UNION ALL
                         SELECT c.state, c.amount, c.settled_version
                           FROM ballast.charge AS c
                          WHERE p_kind[n] = 'settle' AND c.charge = p_target[n]
                         OFFSET 0) AS b ON true
     ORDER BY n
$$;

-- The intent that each account has open, NULL for none; under their locks.
CREATE FUNCTION ballast.open_charges(p_accounts text[]) RETURNS bigint[]
LANGUAGE sql STABLE
AS $$
    SELECT ARRAY(SELECT (SELECT c.charge FROM ballast.charge AS c
                          WHERE c.account_id = p_accounts[n] AND c.state IN ('begun', 'unknown'))
                   FROM generate_subscripts(p_accounts, 1) AS n ORDER BY n)
$$;

-- What is wrong with what a hold or charge is asked to become.
CREATE FUNCTION ballast.target_objection(kind text, target bigint, state text, words text,
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

-- When a hold that begins now is over; without a time of its own after a week. Stable, as what it adds
-- with: with a promise of more, it would be called instead of taken into the statement.
CREATE FUNCTION ballast.hold_end(at timestamptz, seconds bigint) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT at + coalesce(seconds, 604800) * interval '1 second' $$;

RESET ROLE;
