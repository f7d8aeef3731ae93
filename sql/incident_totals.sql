-- The decisions of a window, added up by what they were and by the health that stood, without its
-- cause.
-- Parameters: $1 text since, $2 text until (NULL: now), both RFC 3339.
-- Rows: kind text, health text, decisions int8, accounts int8 (different ones), amount text (decimal).
-- Locks: none. Index: decision_kind_at.
SELECT d.kind::text, split_part(d.health, ':', 1), count(*), count(DISTINCT d.account_id), sum(d.amount)::text
  FROM ballast.decision AS d
 WHERE d.kind IN ('suspend', 'deny', 'charge', 'settle', 'fuse')
   AND d.at >= $1::text::timestamptz AND d.at <= coalesce($2::text::timestamptz, 'infinity')
 GROUP BY 1, 2
 ORDER BY 1, 2
