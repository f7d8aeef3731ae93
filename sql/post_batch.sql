-- Posts a batch of mutations; each gets its own outcome. See ballast.post_batch().
-- Parameters: $1 text[] kind, $2 text[] key, $3 text[] account, $4 text[] peer, $5 text[] asset,
--   $6 int8[] amount, $7 int8[] target, $8 text[] memo, $9 int4[] op; all of one length. $10 int8
--   number of the commit, $11 int8 number of one whose answer has arrived, or NULL.
-- Rows: op int4, part int2, outcome text, id int8, account text, asset text, balance int8,
--   held int8, floor int8, status text, version int8, duplicate bool, changed bool, detail text;
--   ordered by op, part; part 0 once an operation, 1 the other side of a transfer, 2 present
--   states of further accounts.
-- Locks: keys, then accounts, each sorted, to the commit.
-- Index: mutation_pkey, account_pkey, transfer_pkey, refusal_pkey.
SELECT r.op, r.part, r.outcome, r.id, r.account, r.asset, r.balance, r.held, r.floor, r.status,
       r.version, r.duplicate, r.changed, r.detail
  FROM ballast.post_batch($1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
                          $6::bigint[], $7::bigint[], $8::text[], $9::integer[], $10::bigint,
                          $11::bigint) AS r
