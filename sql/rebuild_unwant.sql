-- Takes the wish of rebuild_want back.
-- Parameters: none. Rows: one: unlocked bool (false: this session had no such wish). Locks: none.
SELECT pg_advisory_unlock_shared(hashtextextended('ballast.rebuild.wanted', 0))
