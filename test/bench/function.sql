\set account random(0, :accounts - 1)
\set key random(1, 9000000000000000000)
SELECT peer_post(:account, 'k' || :key);
