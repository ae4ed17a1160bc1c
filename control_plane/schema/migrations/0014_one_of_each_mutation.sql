-- What: The identity of each mutation, and that no two live ones share it.
-- Why: Creating or importing an equal mutation must never make a second copy, however many instances write.
-- Undo: DROP INDEX layout_mutation.mutations_one_of_each, layout_mutation.mutations_by_identity, layout_mutation.mutations_unidentified; ALTER TABLE layout_mutation.mutations DROP COLUMN identity, DROP COLUMN is_copy;

ALTER TABLE layout_mutation.mutations
    ADD COLUMN identity text,
    ADD COLUMN is_copy boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT mutations_identity_is_sha256 CHECK (identity ~ '^[0-9a-f]{64}$');
CREATE UNIQUE INDEX mutations_one_of_each ON layout_mutation.mutations (identity)
    WHERE NOT deleted AND NOT is_copy AND status <> 'archived';
CREATE INDEX mutations_by_identity ON layout_mutation.mutations (identity) WHERE NOT deleted AND status <> 'archived';
CREATE INDEX mutations_unidentified ON layout_mutation.mutations (id) WHERE identity IS NULL;

COMMENT ON COLUMN layout_mutation.mutations.identity IS 'SHA-256 of what the mutation does, hexadecimal (rules.identity); null until the program has filled it in.';
COMMENT ON COLUMN layout_mutation.mutations.is_copy IS 'Equal to another one that was there first, from before there was one of each; reported and left for a person.';
COMMENT ON CONSTRAINT mutations_identity_is_sha256 ON layout_mutation.mutations IS 'Equal mutations are recognised by it, so nothing else may stand there.';
COMMENT ON INDEX layout_mutation.mutations_one_of_each IS 'No two live mutations do the same, however many instances write; copies from before are let be.';
COMMENT ON INDEX layout_mutation.mutations_by_identity IS 'Whether there is an equal one is asked at every creation and import.';
COMMENT ON INDEX layout_mutation.mutations_unidentified IS 'Those from before identities are found and filled in.';
