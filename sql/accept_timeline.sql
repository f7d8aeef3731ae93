-- T14: posting may go on, on the present timeline; notifies ballast_era.
-- Parameters: $1 text note: who accepted it.
-- Rows: one: accepted bool (false: it was already). Locks: the era row.
SELECT ballast.accept_timeline($1::text)
