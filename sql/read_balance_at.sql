-- The balance of an account at a time, with its present row and the era.
-- Parameters: $1 text account id, $2 text the time, RFC 3339.
-- Rows: one: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8, at_balance int8, at_version int8; NULLs where there is
--   no account, and for the last two before it was opened. Locks: none.
-- Index: account_pkey, account_event_pkey, transfer_from_version, transfer_to_version.
SELECT e.id, e.state, a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version,
       s.balance, v.version
  FROM ballast.era_seen AS e
  LEFT JOIN ballast.account AS a ON a.account_id = $1::text
  LEFT JOIN LATERAL (
        SELECT ballast.version_at(a.account_id, a.version, $2::text::timestamptz) AS version
        OFFSET 0) AS v ON true
  LEFT JOIN LATERAL (
        SELECT t.to_balance AS balance FROM ballast.transfer AS t
         WHERE t.to_account = a.account_id AND t.to_version = v.version
        UNION ALL
        SELECT t.from_balance FROM ballast.transfer AS t
         WHERE t.from_account = a.account_id AND t.from_version = v.version
        UNION ALL
        SELECT x.balance FROM ballast.account_event AS x
         WHERE x.account_id = a.account_id AND x.version = v.version) AS s ON true
