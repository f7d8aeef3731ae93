-- What an operator must read before accepting a timeline (T14).
-- Parameters: none.
-- Rows: one: present text, accepted text, settled text, newest_transfer int8, newest_at text (NULL
--   without any), may_post bool. Locks: none. Index: transfer_pkey, backwards.
SELECT ballast.timeline(), e.accepted, e.settled, n.transfer,
       to_char(n.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
       ballast.timeline_is_accepted()
  FROM ballast.era AS e
  LEFT JOIN LATERAL (SELECT j.transfer, j.at FROM ballast.transfer AS j
                      ORDER BY j.transfer DESC, j.leg DESC LIMIT 1) AS n ON true
