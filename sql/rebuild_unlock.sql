-- Gives the lock of rebuilds back.
-- Parameters: none. Rows: one: unlocked bool (false: this session did not hold it). Locks: none.
SELECT pg_advisory_unlock(hashtextextended('ballast.rebuild', 0))
