-- What: Every decision table that was ever published.
-- Why: Redis may come back empty, and one must be able to say which rules visitors got at a given time.
-- Undo: DROP TABLE layout_mutation.published_tables; (the next change publishes anew; versions go on counting)

CREATE TABLE layout_mutation.published_tables (
    version bigint NOT NULL,
    digest text NOT NULL,
    key_id text NOT NULL,
    sealed bytea,
    mutations integer NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT published_tables_pk PRIMARY KEY (version),
    CONSTRAINT published_tables_version_positive CHECK (version > 0),
    CONSTRAINT published_tables_digest_is_sha256 CHECK (digest ~ '^[0-9a-f]{64}$')
);

COMMENT ON TABLE layout_mutation.published_tables IS 'Decision tables in the order in which they were published.';
COMMENT ON COLUMN layout_mutation.published_tables.version IS 'Version of the table; grows with each.';
COMMENT ON COLUMN layout_mutation.published_tables.digest IS 'SHA-256, hexadecimal, of the rules in the table; equal for equal rules.';
COMMENT ON COLUMN layout_mutation.published_tables.key_id IS 'Which key signed it.';
COMMENT ON COLUMN layout_mutation.published_tables.sealed IS 'The signed bytes; null once the table is too old to be needed.';
COMMENT ON COLUMN layout_mutation.published_tables.mutations IS 'How many mutations the table has.';
COMMENT ON COLUMN layout_mutation.published_tables.actor IS 'Whose change made it.';
COMMENT ON COLUMN layout_mutation.published_tables.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.published_tables.at IS 'When it was compiled.';
