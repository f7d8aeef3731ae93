-- Compares one account with its journal: balance = sum of the movements, and every version from 1 to
-- the row's has exactly one row, movement or event.
-- Parameters: $1 text account.
-- Rows: none if it agrees; else one: balance int8, version int8 (NULLs: there is no such account, but
--   the journal names it), journal_balance text, journal_versions int8 (how many different ones),
--   journal_rows int8, journal_last int8 (highest).
-- Locks: none; one snapshot. Index: account_pkey, and ranges of account_event_pkey,
--   transfer_from_version and transfer_to_version.
SELECT a.balance, a.version, coalesce(j.balance, 0)::text, j.versions, j.entries,
       coalesce(j.last, 0)
  FROM (SELECT sum(x.amount) AS balance, count(DISTINCT x.version) AS versions,
               count(x.version) AS entries, max(x.version) AS last, min(x.version) AS first
          FROM (SELECT -t.amount::numeric AS amount, t.from_version AS version
                  FROM ballast.transfer AS t
                 WHERE t.from_account = $1::text AND t.from_version IS NOT NULL
                UNION ALL
                SELECT t.amount, t.to_version
                  FROM ballast.transfer AS t
                 WHERE t.to_account = $1::text AND t.to_version IS NOT NULL
                UNION ALL
                SELECT NULL, v.version
                  FROM ballast.account_event AS v
                 WHERE v.account_id = $1::text) AS x) AS j
  LEFT JOIN ballast.account AS a ON a.account_id = $1::text
 WHERE CASE WHEN a.version IS NULL THEN j.entries > 0
            ELSE a.balance <> coalesce(j.balance, 0) OR j.versions <> a.version
                 OR j.entries <> a.version OR j.last IS DISTINCT FROM a.version
                 OR j.first IS DISTINCT FROM 1 END
