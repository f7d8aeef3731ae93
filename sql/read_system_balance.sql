-- The balance of a system account in every asset that it has moved: what was rolled up, and the
-- journal since.
-- Parameters: $1 text account id, with its @.
-- Rows: one an asset: asset text, balance text (decimal, and not bound to 64 bits). Locks: none.
-- Index: system_balance_pkey, and transfer_pkey from the roll-up's id on.
SELECT x.asset, sum(x.amount)::text
  FROM (SELECT b.asset, b.balance AS amount
          FROM ballast.system_balance AS b WHERE b.account_id = $1::text
         UNION ALL
        SELECT t.asset, CASE WHEN t.from_account = $1::text THEN -t.amount::numeric
                             ELSE t.amount::numeric END
          FROM ballast.transfer AS t
         WHERE t.transfer > (SELECT r.upto FROM ballast.system_roll_up AS r)
           AND (t.from_account = $1::text OR t.to_account = $1::text)) AS x
 GROUP BY x.asset
 ORDER BY x.asset
