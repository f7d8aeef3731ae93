-- A page of the decisions against accounts in a window, oldest first.
-- Parameters: $1 text since, $2 text until (NULL: now), both RFC 3339, $3 int8 after this decision
--   (0 at first), $4 int8 at most so many.
-- Rows: decision int8, at text (RFC 3339), kind text, account text, amount int8, charge int8,
--   key text, balance int8, held int8, floor int8, status text, version int8, daemon text, era int8,
--   era_state text, health text, detail text. Locks: none. Index: decision_pkey.
SELECT d.decision, ballast.moment(d.at), d.kind::text, d.account_id::text, d.amount, d.charge,
       d.key::text, d.balance, d.held, d.floor, d.status::text, d.version, d.daemon, d.era,
       d.era_state, d.health, d.detail
  FROM ballast.decision AS d
 WHERE d.decision > $3::bigint AND d.at >= $1::text::timestamptz
   AND d.at <= coalesce($2::text::timestamptz, 'infinity')
 ORDER BY d.decision
 LIMIT $4::bigint
