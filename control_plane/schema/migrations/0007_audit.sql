-- What: The audit: who did what to which document, when and why.
-- Why: An honest history of a site's changes, numbered without gaps, with room for a chain of hashes.
-- Undo: DROP TABLE layout_mutation.audit_entries; UPDATE layout_mutation.ledger SET audit_number = 0; (the history is lost)

CREATE TABLE layout_mutation.audit_entries (
    number bigint NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    version_before bigint,
    version_after bigint,
    table_version bigint,
    previous_hash bytea,
    hash bytea,
    CONSTRAINT audit_entries_pk PRIMARY KEY (number),
    CONSTRAINT audit_entries_number_positive CHECK (number > 0)
);
CREATE INDEX audit_entries_by_subject ON layout_mutation.audit_entries (kind, subject, number DESC);
CREATE TRIGGER audit_entries_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.audit_entries
    FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
CREATE TRIGGER audit_entries_are_not_emptied BEFORE TRUNCATE ON layout_mutation.audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

COMMENT ON TABLE layout_mutation.audit_entries IS 'What was done, in order; rows never change.';
COMMENT ON COLUMN layout_mutation.audit_entries.number IS '1 for the first, without gaps.';
COMMENT ON COLUMN layout_mutation.audit_entries.at IS 'When it was done.';
COMMENT ON COLUMN layout_mutation.audit_entries.actor IS 'Who did it: the subject of the token.';
COMMENT ON COLUMN layout_mutation.audit_entries.role IS 'The role of the token at that time.';
COMMENT ON COLUMN layout_mutation.audit_entries.action IS 'What was done, for example created or published.';
COMMENT ON COLUMN layout_mutation.audit_entries.kind IS 'What it was done to: mutation, experiment, module, segment, table or session.';
COMMENT ON COLUMN layout_mutation.audit_entries.subject IS 'Id of what it was done to.';
COMMENT ON COLUMN layout_mutation.audit_entries.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.audit_entries.version_before IS 'Version before; null if there was none.';
COMMENT ON COLUMN layout_mutation.audit_entries.version_after IS 'Version after; null if there is none.';
COMMENT ON COLUMN layout_mutation.audit_entries.table_version IS 'The decision table that carries the change to visitors; null if it changed nothing there.';
COMMENT ON COLUMN layout_mutation.audit_entries.previous_hash IS 'Hash of the entry before; null where the chain has not begun.';
COMMENT ON COLUMN layout_mutation.audit_entries.hash IS 'Hash of this entry and the one before; null where the chain has not begun.';
