-- The journal: of each row the sides that are versions of an account.
-- Parameters: as for books_accounts.sql; a side of another part is NULL.
-- Rows, in text: from_account, from_version, to_account, to_version, amount. Locks: none.
-- Index: none, reads the table.
COPY (SELECT CASE WHEN t.from_version IS NOT NULL
                   AND ($1 = 0 OR hashtext(t.from_account) & $1 = $2) THEN t.from_account END,
             t.from_version,
             CASE WHEN t.to_version IS NOT NULL
                   AND ($1 = 0 OR hashtext(t.to_account) & $1 = $2) THEN t.to_account END,
             t.to_version, t.amount
        FROM ballast.transfer AS t
       WHERE $1 = 0 OR hashtext(t.from_account) & $1 = $2 OR hashtext(t.to_account) & $1 = $2)
  TO STDOUT
