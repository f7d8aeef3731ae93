-- What a daemon watches in the store: the fuses, charges that stay open, holds whose time is up.
-- Parameters: $1 text, without a meaning (NULL).
-- Rows: one: charges_state text, charges_counted int8, suspensions_state text,
--   suspensions_counted int8, charges_open int8, charge_oldest_s int8 (0 without), holds_due int8
--   (counted up to 1,000), next_due_ms int8 (until the next hold's time is up; NULL without).
-- Locks: none. Index: decision_kind_at, charge_open, hold_expires.
SELECT f.charges, f.charges_counted, f.suspensions, f.suspensions_counted,
       c.open, coalesce(ceil(extract(epoch FROM clock_timestamp() - c.oldest)), 0)::bigint,
       (SELECT count(*)
          FROM (SELECT FROM ballast.hold AS h
                 WHERE h.state = 'held' AND h.expires <= clock_timestamp() LIMIT 1000) AS d),
       (SELECT ceil(extract(epoch FROM h.expires - clock_timestamp()) * 1000)::bigint
          FROM ballast.hold AS h
         WHERE h.state = 'held' AND h.expires > clock_timestamp()
         ORDER BY h.expires LIMIT 1)
  FROM (SELECT max(x.state) FILTER (WHERE x.name = 'charges') AS charges,
               max(x.counted) FILTER (WHERE x.name = 'charges') AS charges_counted,
               max(x.state) FILTER (WHERE x.name = 'suspensions') AS suspensions,
               max(x.counted) FILTER (WHERE x.name = 'suspensions') AS suspensions_counted
          FROM ballast.fuse_states() AS x) AS f,
       (SELECT count(*) AS open, min(x.begun_at) AS oldest
          FROM ballast.charge AS x WHERE x.state IN ('begun', 'unknown')) AS c
 WHERE $1::text IS NULL
