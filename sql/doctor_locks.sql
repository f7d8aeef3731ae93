-- Who stands in the way of postings: sessions that hold locks on our tables and block somebody, or
-- hold one that lets nobody write, or hold any for longer than a person should.
-- Parameters: none.
-- Rows: one a session, the worst first: pid int4, user_name text, application text, table_name text,
--   mode text (of its strongest lock), age_ms int8 (of its transaction; NULL where that may not
--   be seen), blocked int8 (sessions that wait for it), is_strong bool (it lets nobody write).
-- Locks: none on tables.
WITH waiting AS (
    SELECT b.pid, count(*) AS blocked
      FROM (SELECT DISTINCT l.pid FROM pg_locks AS l WHERE NOT l.granted) AS w
     CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS b(pid)
     GROUP BY b.pid
), held AS (
    SELECT DISTINCT ON (l.pid) l.pid, c.relname, l.mode, s.is_strong
      FROM pg_locks AS l
      JOIN pg_class AS c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
                        AND c.relnamespace = to_regnamespace('ballast')
     CROSS JOIN LATERAL (
            SELECT l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                              'AccessExclusiveLock') AS is_strong) AS s
     WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
     ORDER BY l.pid, s.is_strong DESC, l.mode
)
SELECT h.pid, coalesce(a.usename::text, '?'), coalesce(nullif(a.application_name, ''), '-'),
       h.relname::text, h.mode, g.age_ms, coalesce(w.blocked, 0), h.is_strong
  FROM held AS h
  LEFT JOIN pg_stat_activity AS a ON a.pid = h.pid
  LEFT JOIN waiting AS w ON w.pid = h.pid
 CROSS JOIN LATERAL (
        SELECT (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000)::bigint AS age_ms) AS g
 WHERE g.age_ms > 5000
    OR (coalesce(a.application_name, '') NOT LIKE 'ballast%' AND (h.is_strong OR w.blocked > 0))
 ORDER BY coalesce(w.blocked, 0) DESC, h.is_strong DESC, g.age_ms DESC NULLS LAST
