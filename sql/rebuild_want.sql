-- Asks a daemon that warms the cache to leave that to this session, which wants to rebuild it all.
-- Held by the session until rebuild_unwant, or its end. Several may want it.
-- Parameters: none. Rows: one: wanted bool (true). Locks: the advisory lock of the wish, shared.
SELECT true FROM pg_advisory_lock_shared(hashtextextended('ballast.rebuild.wanted', 0))
