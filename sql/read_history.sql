-- The last movements of an account, newest first, with its present row and the era.
-- Parameters: $1 text account id, $2 int8 only versions before this (NULL: all), $3 int8 at most
--   so many.
-- Rows: era_id int8, era_state text, account_id text, asset text, balance int8, held int8,
--   floor int8, status text, version int8, then of the movement: transfer int8, leg int8,
--   at_version int8, amount int8 (signed, as this account sees it), at_balance int8,
--   counterparty text, kind text, key text, memo text, at text (RFC 3339, UTC, microseconds).
--   At least one row; NULLs where there is no account or no movement. Locks: none.
-- Index: account_pkey, transfer_from_version, transfer_to_version, read backwards to the limit.
SELECT e.id, e.state, a.account_id, a.asset, a.balance, a.held, a.floor, a.status, a.version,
       h.transfer, h.leg, h.version, h.amount, h.balance, h.counterparty, h.kind, h.key, h.memo,
       to_char(h.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
  FROM ballast.era_seen AS e
  LEFT JOIN ballast.account AS a ON a.account_id = $1::text
  LEFT JOIN LATERAL (
        (SELECT t.transfer, t.leg::bigint, t.from_version AS version, -t.amount AS amount,
                t.from_balance AS balance, t.to_account AS counterparty, t.kind, t.key, t.memo, t.at
           FROM ballast.transfer AS t
          WHERE t.from_account = $1::text AND t.from_version IS NOT NULL
            AND t.from_version < coalesce($2::bigint, 9223372036854775807)
          ORDER BY t.from_version DESC LIMIT $3::bigint)
        UNION ALL
        (SELECT t.transfer, t.leg::bigint, t.to_version, t.amount, t.to_balance, t.from_account,
                t.kind, t.key, t.memo, t.at
           FROM ballast.transfer AS t
          WHERE t.to_account = $1::text AND t.to_version IS NOT NULL
            AND t.to_version < coalesce($2::bigint, 9223372036854775807)
          ORDER BY t.to_version DESC LIMIT $3::bigint)
        ORDER BY version DESC LIMIT $3::bigint) AS h ON true
 ORDER BY h.version DESC
