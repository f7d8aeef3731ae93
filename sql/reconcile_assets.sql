-- Does everything sum to zero? Of each asset, the accounts' rows and the system accounts' balances
-- (rolled up, and the journal since) must cancel out.
-- Parameters: none.
-- Rows: one an asset that does not: asset text, accounts text, system text (sums, decimal).
-- Locks: none; one snapshot. Index: none (reads all of account, and the journal after the roll-up).
SELECT x.asset, (sum(x.amount) FILTER (WHERE NOT x.is_system))::text,
       (sum(x.amount) FILTER (WHERE x.is_system))::text
  FROM (SELECT a.asset, a.balance::numeric AS amount, false AS is_system
          FROM ballast.account AS a
         UNION ALL
        SELECT b.asset, b.balance, true FROM ballast.system_balance AS b
         UNION ALL
        SELECT t.asset, -t.amount::numeric, true
          FROM ballast.transfer AS t
         WHERE t.transfer > (SELECT r.upto FROM ballast.system_roll_up AS r)
           AND t.from_version IS NULL
         UNION ALL
        SELECT t.asset, t.amount, true
          FROM ballast.transfer AS t
         WHERE t.transfer > (SELECT r.upto FROM ballast.system_roll_up AS r)
           AND t.to_version IS NULL) AS x
 GROUP BY x.asset
HAVING sum(x.amount) <> 0
 ORDER BY x.asset
