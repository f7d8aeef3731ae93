-- Tries to become the one rebuild that runs. Held by the session until it unlocks or ends.
-- Parameters: none. Rows: one: locked bool. Locks: the advisory lock of rebuilds.
SELECT pg_try_advisory_lock(hashtextextended('ballast.rebuild', 0))
