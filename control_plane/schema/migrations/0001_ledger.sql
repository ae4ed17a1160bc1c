-- What: The ledger: one row that numbers tables and audit entries, the order of changes, and the guard of immutable rows.
-- Why: Whoever changes rules locks this row first. Tables can't be numbered out of order, however many services write.
-- Undo: DROP TABLE layout_mutation.ledger; DROP SEQUENCE layout_mutation.changes; DROP FUNCTION layout_mutation.refuse_change();

CREATE TABLE layout_mutation.ledger (
    only_row boolean NOT NULL DEFAULT true,
    table_version bigint NOT NULL DEFAULT 0,
    audit_number bigint NOT NULL DEFAULT 0,
    CONSTRAINT ledger_pk PRIMARY KEY (only_row),
    CONSTRAINT ledger_has_one_row CHECK (only_row),
    CONSTRAINT ledger_counts_up CHECK (table_version >= 0 AND audit_number >= 0)
);
INSERT INTO layout_mutation.ledger DEFAULT VALUES;
CREATE SEQUENCE layout_mutation.changes;

CREATE FUNCTION layout_mutation.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of %.% never change', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'write a new version instead';
END
$$;

COMMENT ON TABLE layout_mutation.ledger IS 'The counters of this installation; the row is locked by every writer of rules.';
COMMENT ON COLUMN layout_mutation.ledger.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN layout_mutation.ledger.table_version IS 'Version of the newest decision table; only grows.';
COMMENT ON COLUMN layout_mutation.ledger.audit_number IS 'Number of the newest audit entry; without gaps.';
COMMENT ON SEQUENCE layout_mutation.changes IS 'Numbers the changes of all documents in their order.';
COMMENT ON FUNCTION layout_mutation.refuse_change() IS 'Refuses to change or remove rows that are history.';
