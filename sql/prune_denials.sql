-- Forgets denials of long ago: see ballast.prune_denials().
-- Parameters: $1 int4 older than so many days (at least one), $2 int8 at most so many.
-- Rows: one: pruned int8. Locks: the rows. Index: decision_kind_at, decision_pkey.
SELECT ballast.prune_denials($1::integer, $2::bigint)
