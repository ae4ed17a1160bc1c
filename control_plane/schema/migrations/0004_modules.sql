-- What: Registered modules with every version they ever had.
-- Why: A module that was renamed or moved must be traceable.
-- Undo: DROP TABLE layout_mutation.module_versions, layout_mutation.modules; (export first: the documents are lost)

CREATE TABLE layout_mutation.modules (
    id text NOT NULL,
    version integer NOT NULL,
    change bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    content json NOT NULL,
    CONSTRAINT modules_pk PRIMARY KEY (id),
    CONSTRAINT modules_version_positive CHECK (version > 0),
    CONSTRAINT modules_id_is_in_content CHECK (content ->> 'id' = id)
);
CREATE UNIQUE INDEX modules_by_change ON layout_mutation.modules (change);

COMMENT ON TABLE layout_mutation.modules IS 'The present version of every module.';
COMMENT ON COLUMN layout_mutation.modules.id IS 'Stable id, kept across export, import and federation.';
COMMENT ON COLUMN layout_mutation.modules.version IS 'Grows by one with every saved change.';
COMMENT ON COLUMN layout_mutation.modules.change IS 'Number of the last change among all documents; lists are ordered by it.';
COMMENT ON COLUMN layout_mutation.modules.deleted IS 'No longer there for anybody; kept for its history.';
COMMENT ON COLUMN layout_mutation.modules.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';

CREATE TABLE layout_mutation.module_versions (
    id text NOT NULL,
    version integer NOT NULL,
    content json NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT module_versions_pk PRIMARY KEY (id, version),
    CONSTRAINT module_versions_of_a_module FOREIGN KEY (id) REFERENCES layout_mutation.modules (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT module_versions_version_positive CHECK (version > 0)
);
CREATE TRIGGER module_versions_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.module_versions
    FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
CREATE TRIGGER module_versions_are_not_emptied BEFORE TRUNCATE ON layout_mutation.module_versions
    FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

COMMENT ON TABLE layout_mutation.module_versions IS 'Every version of every module; rows never change.';
COMMENT ON COLUMN layout_mutation.module_versions.id IS 'The module.';
COMMENT ON COLUMN layout_mutation.module_versions.version IS '1 for the first, without gaps.';
COMMENT ON COLUMN layout_mutation.module_versions.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';
COMMENT ON COLUMN layout_mutation.module_versions.action IS 'What the change was, for example updated or rolled_back.';
COMMENT ON COLUMN layout_mutation.module_versions.actor IS 'Who made the change: the subject of the token.';
COMMENT ON COLUMN layout_mutation.module_versions.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.module_versions.at IS 'When the change was made.';
