\set account random(0, :accounts - 1)
\set key random(1, 9000000000000000000)
BEGIN;
SELECT balance FROM peer_account WHERE id = :account FOR UPDATE;
UPDATE peer_account SET balance = balance + 1, version = version + 1 WHERE id = :account;
INSERT INTO peer_journal (key, account, amount, balance)
SELECT 'k' || :key, id, 1, balance FROM peer_account WHERE id = :account;
COMMIT;
