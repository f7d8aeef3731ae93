-- Compares one page of accounts with their journals: balance = sum of the movements, and every
-- version from 1 to the row's has exactly one row, movement or event.
-- Parameters: $1 text the last id of the page before ('' at first), $2 int4 accounts.
-- Rows: last_account text, accounts int8 (of the page), movements int8 (their sides in the journal
--   that were summed), then of one account that disagrees: account_id text, balance int8,
--   journal_balance text, version int8, journal_versions int8 (how many different ones),
--   journal_rows int8, journal_last int8 (highest). One row an account that disagrees; one with
--   NULLs from account_id on if none does; last_account NULL: there are no more accounts.
-- Locks: none; one snapshot. Index: account_pkey, and ranges of account_event_pkey,
--   transfer_from_version and transfer_to_version.
WITH page AS MATERIALIZED (
    SELECT a.account_id, a.balance, a.version
      FROM ballast.account AS a
     WHERE a.account_id > $1::text
     ORDER BY a.account_id
     LIMIT $2::integer
), journal AS MATERIALIZED (
    SELECT p.account_id, p.balance, p.version, sum(j.amount) AS journal_balance,
           count(DISTINCT j.version) AS versions, count(j.version) AS entries,
           max(j.version) AS last, min(j.version) AS first, count(j.amount) AS movements
      FROM page AS p
      LEFT JOIN LATERAL (
            SELECT -t.amount::numeric AS amount, t.from_version AS version
              FROM ballast.transfer AS t
             WHERE t.from_account = p.account_id AND t.from_version IS NOT NULL
            UNION ALL
            SELECT t.amount, t.to_version
              FROM ballast.transfer AS t
             WHERE t.to_account = p.account_id AND t.to_version IS NOT NULL
            UNION ALL
            SELECT NULL, v.version
              FROM ballast.account_event AS v
             WHERE v.account_id = p.account_id) AS j ON true
     GROUP BY p.account_id, p.balance, p.version
)
SELECT s.last_account, s.accounts, s.movements, d.account_id, d.balance, d.journal_balance::text,
       d.version, d.versions, d.entries, d.last
  FROM (SELECT max(account_id) AS last_account, count(*) AS accounts,
               coalesce(sum(movements), 0)::bigint AS movements
          FROM journal) AS s
  LEFT JOIN (SELECT account_id, balance, coalesce(journal_balance, 0) AS journal_balance, version,
                    versions, entries, coalesce(last, 0) AS last
               FROM journal
              WHERE balance <> coalesce(journal_balance, 0) OR versions <> version
                 OR entries <> version OR last IS DISTINCT FROM version
                 OR first IS DISTINCT FROM 1) AS d ON true
 ORDER BY d.account_id
