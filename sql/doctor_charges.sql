-- Charges that nobody has settled.
-- Parameters: none.
-- Rows: one: open int8, oldest_s int8 (age of the oldest in seconds; 0 without), charge int8 (the
--   oldest one; NULL without), account text (its account; NULL without). Locks: none.
-- Index: charge_open.
SELECT count(*),
       coalesce(extract(epoch FROM clock_timestamp() - min(c.begun_at)), 0)::bigint,
       min(c.charge), (array_agg(c.account_id::text ORDER BY c.charge))[1]
  FROM ballast.charge AS c
 WHERE c.state IN ('begun', 'unknown')
