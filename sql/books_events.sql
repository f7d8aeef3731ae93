-- The versions of accounts that moved no money.
-- Parameters: as for books_accounts.sql.
-- Rows, in text: account_id, version. Locks: none. Index: account_event_pkey alone, or none.
COPY (SELECT v.account_id, v.version
        FROM ballast.account_event AS v
       WHERE $1 = 0 OR hashtext(v.account_id) & $1 = $2)
  TO STDOUT
