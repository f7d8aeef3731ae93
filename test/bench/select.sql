\set account random(0, :accounts - 1)
SELECT balance FROM peer_account WHERE id = :account;
