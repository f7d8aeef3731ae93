-- Queries that must return nothing, each preceded by its name and what it checks. Every row that
-- one returns is a finding: subject text, detail text. They read everything: for doctor on demand,
-- reconcile and tests.

-- balance_is_journal_sum: a balance is the sum of the account's journal (invariant 7)
SELECT a.account_id AS subject,
       format('balance %s, journal %s', a.balance, coalesce(j.balance, 0)) AS detail
  FROM ballast.account AS a
  LEFT JOIN (SELECT x.account_id, sum(x.amount) AS balance
               FROM (SELECT from_account AS account_id, -amount::numeric AS amount
                       FROM ballast.transfer WHERE from_version IS NOT NULL
                      UNION ALL
                     SELECT to_account, amount
                       FROM ballast.transfer WHERE to_version IS NOT NULL) AS x
              GROUP BY x.account_id) AS j USING (account_id)
 WHERE a.balance <> coalesce(j.balance, 0);

-- history_is_a_chain: each version of an account has exactly one row, which follows from the one
-- before in balance, held and time, and the last one is the account's row
SELECT c.account_id AS subject,
       format('version %s after %s, balance %s after %s %s, at %s', c.version, c.before,
              c.balance, c.balance_before, c.amount, c.at) AS detail
  FROM (SELECT x.*,
               lag(x.version, 1, 0::bigint) OVER w AS before,
               lag(x.balance, 1, 0::bigint) OVER w AS balance_before,
               lag(x.at) OVER w AS at_before,
               lead(x.version) OVER w IS NULL AS is_last
          FROM (SELECT from_account AS account_id, from_version AS version, -amount AS amount,
                       from_balance AS balance, from_held AS held, at, NULL::text AS kind
                  FROM ballast.transfer WHERE from_version IS NOT NULL
                 UNION ALL
                SELECT to_account, to_version, amount, to_balance, to_held, at, NULL
                  FROM ballast.transfer WHERE to_version IS NOT NULL
                 UNION ALL
                SELECT account_id, version, 0, balance, held, at, kind
                  FROM ballast.account_event) AS x
        WINDOW w AS (PARTITION BY x.account_id ORDER BY x.version)) AS c
  LEFT JOIN ballast.account AS a USING (account_id)
 WHERE c.version <> c.before + 1
    OR c.balance <> c.balance_before::numeric + c.amount
    OR c.at < c.at_before
    OR (c.version = 1) <> (c.kind IS NOT DISTINCT FROM 'open')
    OR (c.is_last AND (a.version, a.balance, a.held) IS DISTINCT FROM
                      (c.version, c.balance, c.held));

-- account_has_history: no account without the row of its opening
SELECT a.account_id AS subject, 'no opening event' AS detail
  FROM ballast.account AS a
 WHERE NOT EXISTS (SELECT FROM ballast.account_event AS e
                    WHERE e.account_id = a.account_id AND e.version = 1 AND e.kind = 'open');

-- events_explain_state: floor and status are those of the last event
SELECT a.account_id AS subject,
       format('floor %s, status %s, in the last event %s, %s', a.floor, a.status, e.floor, e.status)
           AS detail
  FROM ballast.account AS a
  JOIN LATERAL (SELECT v.floor, v.status FROM ballast.account_event AS v
                 WHERE v.account_id = a.account_id ORDER BY v.version DESC LIMIT 1) AS e ON true
 WHERE (a.floor, a.status) <> (e.floor, e.status);

-- sides_are_sound: a side has version, balance and held exactly if it is no system account, its
-- account exists, and holds the movement's asset
SELECT t.transfer || '/' || t.leg AS subject,
       format('%s to %s, %s', t.from_account, t.to_account, t.asset) AS detail
  FROM ballast.transfer AS t
  LEFT JOIN ballast.account AS f ON f.account_id = t.from_account
  LEFT JOIN ballast.account AS p ON p.account_id = t.to_account
 WHERE (t.from_version IS NULL) <> starts_with(t.from_account, '@')
    OR (t.to_version IS NULL) <> starts_with(t.to_account, '@')
    OR num_nulls(t.from_version, t.from_balance, t.from_held) NOT IN (0, 3)
    OR num_nulls(t.to_version, t.to_balance, t.to_held) NOT IN (0, 3)
    OR (t.from_version IS NOT NULL AND f.asset IS DISTINCT FROM t.asset)
    OR (t.to_version IS NOT NULL AND p.asset IS DISTINCT FROM t.asset);

-- assets_sum_to_zero: accounts and system accounts of each asset cancel out
SELECT x.asset AS subject, format('sum %s', sum(x.amount)) AS detail
  FROM (SELECT asset, balance::numeric AS amount FROM ballast.account
         UNION ALL
        SELECT asset, balance FROM ballast.system_balance
         UNION ALL
        SELECT asset, (to_version IS NULL)::integer * amount::numeric
                      - (from_version IS NULL)::integer * amount::numeric
          FROM ballast.transfer
         WHERE transfer > (SELECT upto FROM ballast.system_roll_up)) AS x
 GROUP BY x.asset
HAVING sum(x.amount) <> 0;

-- roll_up_is_exact: what was rolled up is the sum of the journal up to there
SELECT x.account_id || ' ' || x.asset AS subject, format('off by %s', sum(x.amount)) AS detail
  FROM (SELECT account_id, asset, balance AS amount FROM ballast.system_balance
         UNION ALL
        SELECT from_account, asset, amount
          FROM ballast.transfer
         WHERE from_version IS NULL
           AND transfer <= (SELECT upto FROM ballast.system_roll_up)
         UNION ALL
        SELECT to_account, asset, -amount::numeric
          FROM ballast.transfer
         WHERE to_version IS NULL
           AND transfer <= (SELECT upto FROM ballast.system_roll_up)) AS x
 GROUP BY x.account_id, x.asset
HAVING sum(x.amount) <> 0;

-- one_mutation_a_movement: each key has its transfer, and each transfer its key (invariant 1)
SELECT coalesce(m.key, t.key) AS subject,
       format('mutation %s, transfer %s', m.transfer, t.transfer) AS detail
  FROM (SELECT key, transfer, kind FROM ballast.mutation WHERE transfer IS NOT NULL) AS m
  FULL JOIN (SELECT DISTINCT key, transfer, kind FROM ballast.transfer) AS t
         ON t.key = m.key AND t.transfer = m.transfer AND t.kind = m.kind
 WHERE m.key IS NULL OR t.key IS NULL;

-- one_mutation_an_event: every event with a key is what that key did, and a key without a
-- transfer names a version that its account has had, itself or by the hold or charge that it made
SELECT coalesce(m.key, e.key) AS subject,
       format('account %s, version %s', coalesce(m.account_id, e.account_id),
              coalesce(m.version, e.version)) AS detail
  FROM (SELECT x.key, coalesce(h.account_id, c.account_id, x.account_id) AS account_id,
               coalesce(CASE x.kind WHEN 'hold' THEN h.version ELSE h.released_version END,
                        c.version, x.version) AS version
          FROM ballast.mutation AS x
          LEFT JOIN ballast.hold AS h ON h.hold = x.made AND x.kind IN ('hold', 'release')
          LEFT JOIN ballast.charge AS c ON c.charge = x.made AND x.kind = 'charge'
         WHERE x.transfer IS NULL) AS m
  FULL JOIN (SELECT key, account_id, version FROM ballast.account_event WHERE key IS NOT NULL) AS e
         USING (key)
  LEFT JOIN ballast.account AS a ON a.account_id = coalesce(m.account_id, e.account_id)
 WHERE m.key IS NULL
    OR (e.key IS NOT NULL AND (e.account_id, e.version) <> (m.account_id, m.version))
    OR m.version IS NULL OR a.version IS NULL OR m.version > a.version;

-- reversed_within_limits: what reverses have returned is what is on record, never more than was
-- moved, and in the opposite direction
SELECT coalesce(r.transfer, v.transfer) || '/' || coalesce(r.leg, v.leg) AS subject,
       format('returned %s, on record %s, moved %s', r.amount, v.amount, t.amount) AS detail
  FROM (SELECT reverses AS transfer, leg, sum(amount) AS amount, min(from_account) AS payer,
               max(from_account) AS last_payer, min(to_account) AS payee,
               max(to_account) AS last_payee
          FROM ballast.transfer WHERE reverses IS NOT NULL GROUP BY reverses, leg) AS r
  FULL JOIN ballast.reversal AS v ON v.transfer = r.transfer AND v.leg = r.leg
  LEFT JOIN ballast.transfer AS t ON t.transfer = coalesce(r.transfer, v.transfer)
                                 AND t.leg = coalesce(r.leg, v.leg)
 WHERE r.amount IS DISTINCT FROM v.amount OR t.amount IS NULL OR r.amount > t.amount
    OR t.kind = 'reverse'
    OR (r.payer, r.last_payer, r.payee, r.last_payee) IS DISTINCT FROM
       (t.to_account, t.to_account, t.from_account, t.from_account);

-- held_is_open_holds: what an account holds is the sum of its open holds
SELECT coalesce(a.account_id, h.account_id) AS subject,
       format('held %s, open holds %s', a.held, h.amount) AS detail
  FROM (SELECT account_id, held FROM ballast.account WHERE held <> 0) AS a
  FULL JOIN (SELECT account_id, sum(amount) AS amount
               FROM ballast.hold WHERE state = 'held' GROUP BY account_id) AS h USING (account_id)
 WHERE a.held IS DISTINCT FROM h.amount;

-- holds_have_versions: each hold began with an event of its account, and ended with an event or,
-- captured, with a movement of at most what it held
SELECT 'hold ' || h.hold AS subject,
       format('%s of %s: beginning %s, end %s', h.amount, h.account_id, b.version,
              coalesce(e.version, t.from_version)) AS detail
  FROM ballast.hold AS h
  LEFT JOIN ballast.account_event AS b
         ON b.account_id = h.account_id AND b.version = h.version AND b.kind = 'hold'
  LEFT JOIN ballast.account_event AS e
         ON e.account_id = h.account_id AND e.detail = 'hold ' || h.hold
        AND e.kind = CASE h.state WHEN 'released' THEN 'release' WHEN 'expired' THEN 'expire' END
  LEFT JOIN ballast.transfer AS t ON t.transfer = h.transfer AND t.leg = 0 AND t.kind = 'capture'
 WHERE b.version IS NULL
    OR (h.state IN ('released', 'expired')) <> (e.version IS NOT NULL)
    OR (h.state = 'captured') <> (t.from_account IS NOT DISTINCT FROM h.account_id)
    OR t.amount > h.amount;

-- one_open_charge: an account has at most one intent that is not settled
SELECT c.account_id AS subject, format('%s open charges', count(*)) AS detail
  FROM ballast.charge AS c
 WHERE c.state IN ('begun', 'unknown')
 GROUP BY c.account_id
HAVING count(*) > 1;

-- charges_are_paid_once: money came by a charge exactly if it succeeded, once and to the amount,
-- and the account was told at the version on record
SELECT coalesce('charge ' || c.charge, 'transfer ' || t.transfer) AS subject,
       format('%s %s of %s, credited %s', c.state, c.amount, c.account_id, t.amount) AS detail
  FROM (SELECT * FROM ballast.charge WHERE transfer IS NOT NULL OR state = 'succeeded') AS c
  FULL JOIN (SELECT * FROM ballast.transfer WHERE kind = 'settle') AS t USING (transfer)
 WHERE c.charge IS NULL OR c.state <> 'succeeded'
    OR (t.to_account, t.amount, t.to_version) IS DISTINCT FROM
       (c.account_id, c.amount, c.settled_version);

-- charges_have_evidence: each charge has the record of its decision, and was due by it
SELECT 'charge ' || c.charge AS subject,
       format('threshold %s, decided on balance %s, held %s, version %s', c.threshold, d.balance,
              d.held, d.version) AS detail
  FROM ballast.charge AS c
  LEFT JOIN ballast.decision AS d ON d.charge = c.charge AND d.kind = 'charge'
 WHERE (d.account_id, d.balance, d.held, d.version) IS DISTINCT FROM
       (c.account_id, c.balance, c.held, c.version)
    OR c.balance - c.held >= c.threshold;

-- suspensions_have_evidence: each suspension has the record of its decision, on the version before
-- it, and shows what it was said to depend on
SELECT coalesce(e.account_id, d.account_id) AS subject,
       format('suspended at version %s, decided on version %s: balance %s, held %s, floor %s',
              e.version, d.version, d.balance, d.held, d.floor) AS detail
  FROM (SELECT * FROM ballast.account_event WHERE kind = 'suspend') AS e
  FULL JOIN (SELECT * FROM ballast.decision WHERE kind = 'suspend') AS d
         ON d.account_id = e.account_id AND d.version = e.version - 1
 WHERE e.version IS NULL OR d.version IS NULL
    OR (d.balance, d.held, d.floor) <> (e.balance, e.held, e.floor)
    OR (e.detail = 'ifbelow' AND d.balance - d.held >= d.floor);

-- status_follows_the_rules: accounts are suspended, resumed and closed only from where they may be
SELECT x.account_id AS subject, format('%s after %s at version %s', x.status, x.before, x.version)
           AS detail
  FROM (SELECT e.account_id, e.version, e.kind, e.status,
               lag(e.status) OVER (PARTITION BY e.account_id ORDER BY e.version) AS before
          FROM ballast.account_event AS e) AS x
 WHERE x.status IS DISTINCT FROM CASE x.kind
           WHEN 'open' THEN 'active' WHEN 'suspend' THEN 'suspended'
           WHEN 'resume' THEN 'active' WHEN 'close' THEN 'closed' ELSE x.before END
    OR (x.before = 'closed' AND x.kind <> 'expire')
    OR (x.kind = 'suspend' AND x.before <> 'active')
    OR (x.kind = 'resume' AND x.before <> 'suspended');

-- closed_is_empty: a closed account has no money, and holds only what was over when it was closed
SELECT a.account_id AS subject,
       format('balance %s, held %s, closed at %s, hold %s until %s', a.balance, a.held, e.at, h.hold,
              h.expires) AS detail
  FROM ballast.account AS a
  LEFT JOIN ballast.account_event AS e ON e.account_id = a.account_id AND e.kind = 'close'
  LEFT JOIN ballast.hold AS h
         ON h.account_id = a.account_id AND h.state = 'held' AND h.expires > e.at
 WHERE a.status = 'closed' AND (a.balance <> 0 OR e.at IS NULL OR h.hold IS NOT NULL);

-- one_era: exactly one era row
SELECT 'era' AS subject, format('%s rows', count(*)) AS detail
  FROM ballast.era
HAVING count(*) <> 1;
