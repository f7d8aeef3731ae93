-- T1: renews the daemon's own lease and reads all leases and the era.
-- Parameters: $1 text daemon, $2 text incarnation, $3 int8 seen (the last era dropped before
--   this was sent), $4 text run_id and $5 text replid of the verified Redis, or NULL, $6 text health,
--   $7 int8 transaction below which all that it has committed is published, or NULL.
-- Rows: one a lease, own included: era_id int8, era_nonce text, era_state text, era_run_id text,
--   era_replid text, era_switched_off bool, era_timeline text, timeline text
--   (present), fsync bool, daemon text, renewals int8, seen int8, run_id text, replid text, fenced bool,
--   born int8, departed int8 (leases taken away), xact int8 (of this renewal).
-- Locks: the own lease row; the era row where the timeline is new. Index: lease_pkey.
SELECT r.era_id, r.era_nonce, r.era_state, r.era_run_id, r.era_replid, r.era_switched_off,
       r.era_timeline, r.timeline, r.fsync, r.daemon, r.renewals, r.seen, r.run_id, r.replid, r.fenced,
       r.born, r.departed, r.xact
  FROM ballast.lease_renew($1::text, $2::text, $3::bigint, $4::text, $5::text, $6::text,
                           $7::bigint) AS r
