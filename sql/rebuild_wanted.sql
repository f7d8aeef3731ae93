-- Whether somebody wants to rebuild it all (rebuild_want). Only who holds the lock of rebuilds
-- asks: two at once would take each other for the wish.
-- Parameters: none. Rows: one: wanted bool. Locks: that of the wish, until the statement's end.
SELECT NOT pg_try_advisory_xact_lock(hashtextextended('ballast.rebuild.wanted', 0))
