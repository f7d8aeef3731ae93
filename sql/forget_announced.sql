-- The cache holds nothing older than these announcements: they are taken away.
-- Parameters: $1 text[] account ids, $2 int8[] their marks.
-- Rows: one: forgotten int8. Locks: the rows, but those that somebody holds. Index:
--   announcement_pkey.
SELECT ballast.forget_announced($1::text[], $2::bigint[])
