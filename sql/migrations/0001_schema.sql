-- Tables, the guards on them, and who may read them.
--
-- Money stands in two tables: `transfer`, the journal, which is the truth, and `account`, the sum
-- of it that postings are checked against. Nobody writes either but the posting functions
-- (0002_posting.sql): they belong to ballast_owner, who cannot log in, and run as him.
-- Account ids, keys and assets collate "C": comparisons are bytes, and every session sorts alike,
-- which the lock order of postings relies on.

SET LOCAL ROLE ballast_owner;

-- A function is nobody's until it is granted.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- What a column must be by itself is said by its type: a table's constraint is read anew, from its
-- text, by each statement that writes the table, which costs a small posting as much as a row.
CREATE DOMAIN ballast.not_negative AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN ballast.positive AS bigint CHECK (VALUE > 0);
CREATE DOMAIN ballast.account_status AS text COLLATE "C"
    CHECK (VALUE IN ('active', 'suspended', 'closed'));
CREATE DOMAIN ballast.mutation_key AS text COLLATE "C"
    CHECK (octet_length(VALUE) BETWEEN 1 AND 128);

-- One row an account. No index but the key names a column that changes, so that updates stay on the
-- page (HOT) and touch no index. What they need there is not given by the fillfactor alone: a page is
-- cleaned whenever less than that is free, at every visit, therefore. A row is made with `room`, and
-- gives it up at its first posting: a tenth of all that a commit costs.
CREATE TABLE ballast.account (
    account_id text COLLATE "C" PRIMARY KEY,
    asset text COLLATE "C" NOT NULL,
    balance bigint NOT NULL,
    held ballast.not_negative NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    version ballast.positive NOT NULL,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    status ballast.account_status NOT NULL DEFAULT 'active',
    -- Set by the set-based posting statement on rows that it locks but leaves to the sequential
    -- one; means nothing outside of that transaction.
    deferred boolean NOT NULL DEFAULT false,
    room text DEFAULT repeat(' ', 64)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.05);

-- The id and the asset are looked at where a row is made, by a trigger, and never change.
CREATE FUNCTION ballast.refuse_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of an account refused: a malformed id or asset, or a change of either', TG_OP
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER begins_well BEFORE INSERT ON ballast.account
    FOR EACH ROW WHEN (NEW.account_id !~ '^[A-Za-z0-9_.:-]{1,64}$'
                       OR NEW.asset !~ '^[A-Z0-9]{1,12}/(1[0-8]|[0-9])$')
    EXECUTE FUNCTION ballast.refuse_account();
CREATE TRIGGER stays_well BEFORE UPDATE OF account_id, asset ON ballast.account
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_account();

-- The journal: one row a movement, with both sides (invariant 7). version, balance and held of a
-- side are those after this row; a system account has none. Its three indexes are its whole cost:
-- add no fourth.
CREATE SEQUENCE ballast.transfer_id AS bigint CACHE 1;

CREATE TABLE ballast.transfer (
    transfer bigint NOT NULL,
    amount ballast.positive NOT NULL,
    from_version bigint,
    from_balance bigint,
    from_held bigint,
    to_version bigint,
    to_balance bigint,
    to_held bigint,
    reverses bigint,
    at timestamptz NOT NULL,
    leg smallint NOT NULL DEFAULT 0,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    from_account text COLLATE "C" NOT NULL,
    to_account text COLLATE "C" NOT NULL,
    memo text,
    PRIMARY KEY (transfer, leg),
    CONSTRAINT transfer_sides CHECK (from_account <> to_account
                                     AND (from_version IS NOT NULL OR to_version IS NOT NULL))
);

CREATE UNIQUE INDEX transfer_from_version ON ballast.transfer (from_account, from_version)
    WHERE from_version IS NOT NULL;
CREATE UNIQUE INDEX transfer_to_version ON ballast.transfer (to_account, to_version)
    WHERE to_version IS NOT NULL;

-- Versions that move no money: open, setfloor, suspend, resume, close, hold, release, and the expiry
-- of a hold, which has no key. The state is the one after the event.
CREATE TABLE ballast.account_event (
    account_id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    balance bigint NOT NULL,
    held bigint NOT NULL,
    floor bigint NOT NULL,
    at timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    detail text,
    PRIMARY KEY (account_id, version)
);

-- Every idempotency key that did something: what was asked (a hash of its words), and where the
-- result stands: a transfer, the hold or charge that it made, the hold that it released, or the version
-- of an account.
CREATE TABLE ballast.mutation (
    key ballast.mutation_key PRIMARY KEY,
    fingerprint bigint NOT NULL,
    transfer bigint,
    version bigint,
    made bigint,
    kind text COLLATE "C" NOT NULL,
    account_id text COLLATE "C"
);

-- How much of a journal row has been returned by REVERSE, so that no more ever is. Kept because
-- the journal has no index by `reverses`; written only under the locks of the row's accounts.
CREATE TABLE ballast.reversal (
    transfer bigint NOT NULL,
    amount ballast.positive NOT NULL,
    leg smallint NOT NULL,
    PRIMARY KEY (transfer, leg)
);

-- What a daemon's commit refused, under the number that the daemon gave it, until its answer is known
-- to have arrived (ballast.post_batch()). A commit whose answer was lost is sent again; what it
-- refused must stay refused, although what came later in it may have made it possible. So is an
-- `expire`, with the accounts on which it has posted: sent again, it would not find them.
CREATE TABLE ballast.refusal (
    commit_number bigint NOT NULL,
    op integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    outcome text NOT NULL,
    detail text,
    accounts text[] COLLATE "C" NOT NULL,
    PRIMARY KEY (commit_number, op)
);

-- Balances of system accounts: system_balance holds the sum of every journal row with an id of at
-- most system_roll_up.upto; readers add the rows after it. numeric: the world may owe more than
-- an int64. pending_*: the next upto, and the transaction whose elders it waits for
-- (ballast.roll_up()).
CREATE TABLE ballast.system_balance (
    account_id text COLLATE "C" NOT NULL,
    asset text COLLATE "C" NOT NULL,
    balance numeric NOT NULL,
    PRIMARY KEY (account_id, asset)
);

CREATE TABLE ballast.system_roll_up (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    upto bigint NOT NULL DEFAULT 0,
    pending_upto bigint,
    pending_xact xid8
);
INSERT INTO ballast.system_roll_up DEFAULT VALUES;

-- Trust in the cache (rules T1 to T5): one era row, one lease row a daemon. timeline is that of
-- PostgreSQL when the row was last touched; nothing is posted but on a timeline that is both
-- settled (an era was drained on it) and accepted by an operator (rule T14).
CREATE TABLE ballast.era (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id bigint NOT NULL,
    nonce text NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'closing', 'drained')),
    run_id text,
    replid text,
    switched_off boolean NOT NULL DEFAULT false,
    timeline text NOT NULL,
    settled text NOT NULL,
    accepted text NOT NULL,
    note text,
    changed_at timestamptz NOT NULL DEFAULT now(),
    departed bigint NOT NULL DEFAULT 0 -- leases that were taken away: a daemon that misses its own asks
) WITH (fillfactor = 50);
INSERT INTO ballast.era (id, nonce, state, timeline, settled, accepted)
SELECT 0, '', 'drained', t, t, t
  FROM substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS t;

-- born tells a row from the one that stood there before; with it, renewals name one state of one row.
-- published: what the daemon has committed in transactions below this one, it has published (T12).
CREATE SEQUENCE ballast.lease_born AS bigint;

CREATE TABLE ballast.lease (
    daemon text COLLATE "C" PRIMARY KEY,
    incarnation text NOT NULL,
    born bigint NOT NULL DEFAULT nextval('ballast.lease_born'),
    renewals bigint NOT NULL,
    published bigint NOT NULL,
    seen bigint NOT NULL,
    run_id text,
    replid text,
    fenced boolean NOT NULL DEFAULT false,
    note text,
    -- How the daemon said it was, and when: for the record of decisions alone, nothing expires by it.
    health text NOT NULL DEFAULT '',
    told_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Accounts that somebody changed without being a daemon, or that a dead daemon may have changed, until
-- the cache is known to hold nothing older: daemons read it, publish, and delete what they have
-- published (ballast.announce()). mark is the transaction that announced the account last: a row is
-- deleted only with the mark that it was read with. At most one row an account; mostly empty.
CREATE TABLE ballast.announcement (
    account_id text COLLATE "C" PRIMARY KEY,
    mark bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0.1);

CREATE TABLE ballast.setting (
    name text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
-- Key of the checksum on cached values: 32 hex digits, from two random UUIDs (244 random bits) by
-- md5, which here only spreads them evenly: a UUID has six fixed bits at known places.
INSERT INTO ballast.setting (name, value)
SELECT 'mac_key', md5(gen_random_uuid()::text || gen_random_uuid()::text);

CREATE TABLE ballast.reconciliation_run (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    runner text NOT NULL,
    sample double precision NOT NULL DEFAULT 1,
    repair boolean NOT NULL DEFAULT false,
    accounts bigint NOT NULL DEFAULT 0,
    transfers bigint NOT NULL DEFAULT 0,
    findings bigint NOT NULL DEFAULT 0,
    repaired bigint NOT NULL DEFAULT 0,
    result text NOT NULL DEFAULT 'running'
        CHECK (result IN ('running', 'clean', 'differences', 'failed'))
);

CREATE TABLE ballast.reconciliation_finding (
    finding bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL REFERENCES ballast.reconciliation_run,
    account_id text COLLATE "C",
    "check" text NOT NULL,
    expected text,
    found text,
    repaired boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE ballast.rebuild_run (
    run bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    era bigint NOT NULL,
    accounts bigint NOT NULL DEFAULT 0,
    written bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
    runner text NOT NULL
);

-- Guards. They are statement-level, so that a row costs nothing, and bind superusers too; who must
-- really go around them (a restore, a repair under four eyes) disables the trigger or sets
-- session_replication_role, and leaves that in the server's log.
CREATE FUNCTION ballast.refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of ballast.% refused: the journal is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Post a correction with ballast.post(), or REVERSE the transfer.';
END
$$;

CREATE FUNCTION ballast.refuse_direct() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'ballast_owner' THEN
        RAISE EXCEPTION '% of ballast.% refused: only the posting functions write it',
                TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege', HINT = 'Use ballast.post().';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ballast.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_rewrite();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ballast.account_event
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_rewrite();
CREATE TRIGGER posting_only BEFORE INSERT ON ballast.transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();
CREATE TRIGGER posting_only BEFORE INSERT ON ballast.account_event
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();
CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.account
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();
CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.mutation
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();
CREATE TRIGGER posting_only BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON ballast.reversal
    FOR EACH STATEMENT EXECUTE FUNCTION ballast.refuse_direct();

GRANT SELECT ON ALL TABLES IN SCHEMA ballast TO ballast_daemon, ballast_auditor;
REVOKE SELECT ON ballast.setting FROM ballast_auditor;

RESET ROLE;
