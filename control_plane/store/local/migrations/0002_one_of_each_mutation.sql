-- What: The identity of each mutation, and that no two live ones share it.
-- Why: Creating or importing an equal mutation must never make a second copy.
-- Undo: DROP INDEX documents_one_of_each; DROP INDEX documents_by_identity; DROP INDEX documents_unidentified; ALTER TABLE documents DROP COLUMN identity; ALTER TABLE documents DROP COLUMN is_copy;

-- SHA-256 of what the mutation does, hexadecimal (rules.identity); null for other kinds, and until it is filled in.
ALTER TABLE documents ADD COLUMN identity TEXT CONSTRAINT documents_identity_is_sha256
    CHECK (length(identity) = 64 AND identity NOT GLOB '*[^0-9a-f]*');
-- Equal to another one that was there first, from before there was one of each; reported and left for a person.
ALTER TABLE documents ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX documents_one_of_each ON documents (identity) WHERE NOT deleted AND NOT is_copy AND status <> 'archived';
CREATE INDEX documents_by_identity ON documents (identity) WHERE NOT deleted AND status <> 'archived';
CREATE INDEX documents_unidentified ON documents (id) WHERE kind = 'mutation' AND identity IS NULL;
