-- What: Mutations with every version they ever had.
-- Why: The head is what counts now and what lists are filtered by; versions are what history, rollback and audit need.
-- Undo: DROP TABLE layout_mutation.mutation_versions, layout_mutation.mutations; (export first: the documents are lost)

CREATE TABLE layout_mutation.mutations (
    id text NOT NULL,
    version integer NOT NULL,
    change bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    content json NOT NULL,
    is_active boolean GENERATED ALWAYS AS ((content ->> 'isActive')::boolean) STORED,
    status text GENERATED ALWAYS AS (content ->> 'status') STORED,
    site text GENERATED ALWAYS AS (content ->> 'site') STORED,
    layout_id text GENERATED ALWAYS AS (content ->> 'layoutId') STORED,
    page_slug text GENERATED ALWAYS AS (content ->> 'pageSlug') STORED,
    module_id text GENERATED ALWAYS AS (content ->> 'moduleId') STORED,
    mutation_type text GENERATED ALWAYS AS (content ->> 'mutationType') STORED,
    CONSTRAINT mutations_pk PRIMARY KEY (id),
    CONSTRAINT mutations_version_positive CHECK (version > 0),
    CONSTRAINT mutations_id_is_in_content CHECK (content ->> 'id' = id)
);
CREATE UNIQUE INDEX mutations_by_change ON layout_mutation.mutations (change);
CREATE INDEX mutations_served ON layout_mutation.mutations (id)
    WHERE is_active AND status IN ('active', 'experimental') AND NOT deleted;
CREATE INDEX mutations_by_module ON layout_mutation.mutations (module_id) WHERE module_id IS NOT NULL;

COMMENT ON TABLE layout_mutation.mutations IS 'The present version of every mutation.';
COMMENT ON COLUMN layout_mutation.mutations.id IS 'Stable id, kept across export, import and federation.';
COMMENT ON COLUMN layout_mutation.mutations.version IS 'Grows by one with every saved change.';
COMMENT ON COLUMN layout_mutation.mutations.change IS 'Number of the last change among all documents; lists are ordered by it.';
COMMENT ON COLUMN layout_mutation.mutations.deleted IS 'No longer there for anybody; kept for its history.';
COMMENT ON COLUMN layout_mutation.mutations.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';
COMMENT ON COLUMN layout_mutation.mutations.is_active IS 'The switch, out of the content.';
COMMENT ON COLUMN layout_mutation.mutations.status IS 'Where the mutation is in its life, out of the content.';
COMMENT ON COLUMN layout_mutation.mutations.site IS 'Host the mutation belongs to, out of the content.';
COMMENT ON COLUMN layout_mutation.mutations.layout_id IS 'Page template the mutation belongs to, out of the content.';
COMMENT ON COLUMN layout_mutation.mutations.page_slug IS 'Path pattern, out of the content.';
COMMENT ON COLUMN layout_mutation.mutations.module_id IS 'Module the mutation touches, out of the content; null for a page-wide one.';
COMMENT ON COLUMN layout_mutation.mutations.mutation_type IS 'Kind of change, out of the content.';

CREATE TABLE layout_mutation.mutation_versions (
    id text NOT NULL,
    version integer NOT NULL,
    content json NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT mutation_versions_pk PRIMARY KEY (id, version),
    CONSTRAINT mutation_versions_of_a_mutation FOREIGN KEY (id) REFERENCES layout_mutation.mutations (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT mutation_versions_version_positive CHECK (version > 0)
);
CREATE TRIGGER mutation_versions_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.mutation_versions
    FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
CREATE TRIGGER mutation_versions_are_not_emptied BEFORE TRUNCATE ON layout_mutation.mutation_versions
    FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

COMMENT ON TABLE layout_mutation.mutation_versions IS 'Every version of every mutation; rows never change.';
COMMENT ON COLUMN layout_mutation.mutation_versions.id IS 'The mutation.';
COMMENT ON COLUMN layout_mutation.mutation_versions.version IS '1 for the first, without gaps.';
COMMENT ON COLUMN layout_mutation.mutation_versions.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';
COMMENT ON COLUMN layout_mutation.mutation_versions.action IS 'What the change was, for example updated or rolled_back.';
COMMENT ON COLUMN layout_mutation.mutation_versions.actor IS 'Who made the change: the subject of the token.';
COMMENT ON COLUMN layout_mutation.mutation_versions.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.mutation_versions.at IS 'When the change was made.';
