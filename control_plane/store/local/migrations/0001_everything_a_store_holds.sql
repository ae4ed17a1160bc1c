-- What: All that a store holds: documents with every version, the audit, published tables, what happened once, shelves, and the outbox.
-- Why: A small installation lives on this file alone, and a large one goes on from it while its database is away.
-- Undo: delete the file (export first: without another store everything is lost)

-- The counters of this file, and how far it has come. There is one row, and every writer changes it.
CREATE TABLE ledger (
    only_row INTEGER NOT NULL DEFAULT 1,
    change INTEGER NOT NULL DEFAULT 0,         -- number of the newest change of anything
    audit_number INTEGER NOT NULL DEFAULT 0,   -- number of the newest audit entry; without gaps
    audit_hash BLOB NOT NULL DEFAULT x'',      -- its hash; empty where the chain has not begun
    table_version INTEGER NOT NULL DEFAULT 0,  -- version of the newest decision table; only grows
    CONSTRAINT ledger_pk PRIMARY KEY (only_row),
    CONSTRAINT ledger_has_one_row CHECK (only_row = 1),
    CONSTRAINT ledger_counts_up CHECK (change >= 0 AND audit_number >= 0 AND table_version >= 0)
) STRICT;
INSERT INTO ledger DEFAULT VALUES;

-- Whose data this is; no row where nobody has written yet.
CREATE TABLE installation (
    only_row INTEGER NOT NULL DEFAULT 1,
    id TEXT NOT NULL,          -- a UUID, made once; it moves with the data
    epoch INTEGER NOT NULL,    -- grows by one whenever the data is put elsewhere
    created_at TEXT NOT NULL,  -- times are ISO 8601 in UTC, with microseconds, everywhere in this file
    CONSTRAINT installation_pk PRIMARY KEY (only_row),
    CONSTRAINT installation_has_one_row CHECK (only_row = 1),
    CONSTRAINT installation_epoch_positive CHECK (epoch > 0)
) STRICT;

-- A row here says that history is being replaced as a whole, within the transaction that does it and nowhere else.
CREATE TABLE replacing (
    only_row INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT replacing_pk PRIMARY KEY (only_row),
    CONSTRAINT replacing_has_one_row CHECK (only_row = 1)
) STRICT;

-- The present version of every document.
CREATE TABLE documents (
    kind TEXT NOT NULL,                  -- for example mutation
    id TEXT NOT NULL,                    -- stable id, kept across export, import and federation
    version INTEGER NOT NULL,            -- grows by one with every saved change
    change INTEGER NOT NULL,             -- number of the last change among all; lists are ordered by it
    deleted INTEGER NOT NULL DEFAULT 0,  -- no longer there for anybody; kept for its history
    content TEXT NOT NULL,               -- the document as rules.model writes it, byte for byte
    is_active INTEGER GENERATED ALWAYS AS (CASE kind WHEN 'mutation' THEN content ->> '$.isActive' END) STORED,
    status TEXT GENERATED ALWAYS AS (CASE kind WHEN 'mutation' THEN content ->> '$.status' END) STORED,
    CONSTRAINT documents_pk PRIMARY KEY (kind, id),
    CONSTRAINT documents_version_positive CHECK (version > 0),
    CONSTRAINT documents_content_is_json CHECK (json_valid(content)),
    CONSTRAINT documents_id_is_in_content CHECK (content ->> '$.id' = id)
) STRICT;
CREATE UNIQUE INDEX documents_by_change ON documents (kind, change);
CREATE INDEX documents_served ON documents (id)
    WHERE kind = 'mutation' AND is_active AND status IN ('active', 'experimental') AND NOT deleted;

-- Every version of every document; rows never change.
CREATE TABLE document_versions (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,  -- 1 for the first
    content TEXT NOT NULL,
    action TEXT NOT NULL,      -- what the change was, for example updated or rolled_back
    actor TEXT NOT NULL,       -- who made it: the subject of the token
    reason TEXT NOT NULL,      -- why, in the words of the actor; empty if nothing was said
    at TEXT NOT NULL,
    CONSTRAINT document_versions_pk PRIMARY KEY (kind, id, version),
    CONSTRAINT document_versions_of_a_document FOREIGN KEY (kind, id) REFERENCES documents (kind, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT document_versions_version_positive CHECK (version > 0),
    CONSTRAINT document_versions_content_is_json CHECK (json_valid(content))
) STRICT;
CREATE TRIGGER document_versions_are_immutable BEFORE UPDATE ON document_versions
    BEGIN SELECT RAISE(ABORT, 'rows of document_versions never change'); END;
CREATE TRIGGER document_versions_are_not_removed BEFORE DELETE ON document_versions WHEN NOT EXISTS (SELECT 1 FROM replacing)
    BEGIN SELECT RAISE(ABORT, 'rows of document_versions never change'); END;

-- Decision tables in the order in which they were published.
CREATE TABLE published_tables (
    version INTEGER NOT NULL,
    digest TEXT NOT NULL,        -- SHA-256, hexadecimal, of the rules in it
    key_id TEXT NOT NULL,        -- which key signed it
    sealed BLOB,                 -- the signed bytes; null once the table is too old to be needed
    mutations INTEGER NOT NULL,  -- how many it has
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT published_tables_pk PRIMARY KEY (version),
    CONSTRAINT published_tables_version_positive CHECK (version > 0),
    CONSTRAINT published_tables_digest_is_sha256 CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*')
) STRICT;

-- What was done, in order; rows never change.
CREATE TABLE audit_entries (
    number INTEGER NOT NULL,  -- 1 for the first, without gaps
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,    -- id of what it was done to
    reason TEXT NOT NULL,
    version_before INTEGER,
    version_after INTEGER,
    table_version INTEGER,    -- the table that carries the change to visitors; null if it changed nothing there
    origin TEXT NOT NULL,     -- from where: the way it came in, and the network it came from
    digest TEXT,              -- SHA-256, hexadecimal, of the content after it
    changeset TEXT,           -- the transaction that the entry belongs to
    key_id TEXT,              -- which key made the hash; null where the chain has not begun
    previous_hash BLOB,
    hash BLOB,
    CONSTRAINT audit_entries_pk PRIMARY KEY (number),
    CONSTRAINT audit_entries_number_positive CHECK (number > 0),
    CONSTRAINT audit_entries_digest_is_sha256 CHECK (length(digest) = 64 AND digest NOT GLOB '*[^0-9a-f]*'),
    CONSTRAINT audit_entries_hash_is_sha256 CHECK (length(hash) = 32),
    CONSTRAINT audit_entries_chain_is_whole CHECK ((key_id IS NULL) + (previous_hash IS NULL) + (hash IS NULL) IN (0, 3))
) STRICT;
CREATE INDEX audit_entries_by_subject ON audit_entries (kind, subject, number);
CREATE INDEX audit_entries_by_changeset ON audit_entries (changeset);
CREATE TRIGGER audit_entries_are_immutable BEFORE UPDATE ON audit_entries
    BEGIN SELECT RAISE(ABORT, 'rows of audit_entries never change'); END;
CREATE TRIGGER audit_entries_are_not_removed BEFORE DELETE ON audit_entries WHEN NOT EXISTS (SELECT 1 FROM replacing)
    BEGIN SELECT RAISE(ABORT, 'rows of audit_entries never change'); END;

-- Requests that were done and may be repeated without effect.
CREATE TABLE idempotency_keys (
    actor TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,  -- digest of the request; another request with this key is refused
    answer TEXT NOT NULL,       -- what came of it, as JSON
    at TEXT NOT NULL,
    change INTEGER NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (actor, key),
    CONSTRAINT idempotency_keys_answer_is_json CHECK (json_valid(answer))
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (at);
CREATE UNIQUE INDEX idempotency_keys_by_change ON idempotency_keys (change);

-- Sign-in links that were used.
CREATE TABLE used_sign_ins (
    id TEXT NOT NULL,
    expires_at TEXT NOT NULL,  -- when the link would have ended anyway, so that it can be forgotten
    change INTEGER NOT NULL,
    CONSTRAINT used_sign_ins_pk PRIMARY KEY (id)
) STRICT;
CREATE INDEX used_sign_ins_by_age ON used_sign_ins (expires_at);
CREATE UNIQUE INDEX used_sign_ins_by_change ON used_sign_ins (change);

-- Small things beside the rules: alerts, backups, conflicts, peers, schedules, settings, suggestions.
CREATE TABLE shelves (
    shelf TEXT NOT NULL,                 -- for example alert
    id TEXT NOT NULL,
    change INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,  -- discarded; kept so that mirrors hear of it
    content TEXT NOT NULL,
    at TEXT NOT NULL,
    CONSTRAINT shelves_pk PRIMARY KEY (shelf, id),
    CONSTRAINT shelves_content_is_an_object CHECK (json_valid(content) AND json_type(content) = 'object')
) STRICT;
CREATE UNIQUE INDEX shelves_by_change ON shelves (shelf, change);

-- What was written here while the database was away, in order, until the database has it.
CREATE TABLE outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    changeset TEXT NOT NULL,  -- UUID of the transaction
    base TEXT NOT NULL,       -- where this file was before it, as JSON
    records TEXT NOT NULL,    -- what it wrote, as JSON
    at TEXT NOT NULL,
    CONSTRAINT outbox_changeset_is_there_once UNIQUE (changeset)
) STRICT;
