-- Whether there is a schema of ours in the database at all.
-- Parameters: none.
-- Rows: one: exists int4, 1 or 0. Locks: none.
SELECT (to_regclass('ballast.migration') IS NOT NULL)::integer
