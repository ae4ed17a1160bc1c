-- What: Whose data this is, audit entries as a chain, and a number of change for everything that a mirror follows.
-- Why: A database that was emptied, replaced or set back must be recognised, and an audit that was tampered with too.
-- Undo: DROP TABLE layout_mutation.installation; ALTER TABLE layout_mutation.ledger DROP COLUMN audit_hash; ALTER TABLE layout_mutation.audit_entries DROP COLUMN changeset, DROP COLUMN origin, DROP COLUMN digest, DROP COLUMN key_id; ALTER TABLE layout_mutation.idempotency_keys DROP COLUMN change; ALTER TABLE layout_mutation.used_sign_ins DROP COLUMN change; (the chain can't be checked any more)

CREATE TABLE layout_mutation.installation (
    only_row boolean NOT NULL DEFAULT true,
    id uuid NOT NULL,
    epoch bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT installation_pk PRIMARY KEY (only_row),
    CONSTRAINT installation_has_one_row CHECK (only_row),
    CONSTRAINT installation_epoch_positive CHECK (epoch > 0)
);

COMMENT ON TABLE layout_mutation.installation IS 'Whose data this is; no row where nobody has written yet.';
COMMENT ON COLUMN layout_mutation.installation.only_row IS 'Always true: there is at most one row.';
COMMENT ON COLUMN layout_mutation.installation.id IS 'Made once; it moves with the data.';
COMMENT ON COLUMN layout_mutation.installation.epoch IS 'Grows by one whenever the data is put into another database.';
COMMENT ON COLUMN layout_mutation.installation.created_at IS 'When the installation began.';

ALTER TABLE layout_mutation.ledger ADD COLUMN audit_hash bytea NOT NULL DEFAULT ''::bytea;
COMMENT ON COLUMN layout_mutation.ledger.audit_hash IS 'Hash of the newest audit entry; empty where the chain has not begun.';

ALTER TABLE layout_mutation.audit_entries
    ADD COLUMN changeset uuid,
    ADD COLUMN origin text NOT NULL DEFAULT '',
    ADD COLUMN digest text,
    ADD COLUMN key_id text,
    ADD CONSTRAINT audit_entries_digest_is_sha256 CHECK (digest ~ '^[0-9a-f]{64}$'),
    ADD CONSTRAINT audit_entries_hash_is_sha256 CHECK (octet_length(hash) = 32),
    ADD CONSTRAINT audit_entries_chain_is_whole CHECK (num_nonnulls(key_id, previous_hash, hash) IN (0, 3));
CREATE INDEX audit_entries_by_changeset ON layout_mutation.audit_entries (changeset);
COMMENT ON COLUMN layout_mutation.audit_entries.changeset IS 'The transaction that the entry belongs to; null for entries from before there were any.';
COMMENT ON COLUMN layout_mutation.audit_entries.origin IS 'From where: the way it came in, and the network it came from.';
COMMENT ON COLUMN layout_mutation.audit_entries.digest IS 'SHA-256, hexadecimal, of the content after it; null for what is no document.';
COMMENT ON COLUMN layout_mutation.audit_entries.key_id IS 'Which key made the hash; null where the chain has not begun.';

ALTER TABLE layout_mutation.idempotency_keys ADD COLUMN change bigint NOT NULL DEFAULT nextval('layout_mutation.changes');
CREATE UNIQUE INDEX idempotency_keys_by_change ON layout_mutation.idempotency_keys (change);
COMMENT ON COLUMN layout_mutation.idempotency_keys.change IS 'Number of the change among all others.';

ALTER TABLE layout_mutation.used_sign_ins ADD COLUMN change bigint NOT NULL DEFAULT nextval('layout_mutation.changes');
CREATE UNIQUE INDEX used_sign_ins_by_change ON layout_mutation.used_sign_ins (change);
COMMENT ON COLUMN layout_mutation.used_sign_ins.change IS 'Number of the change among all others.';
