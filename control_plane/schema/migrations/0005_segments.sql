-- What: Segments with every version they ever had.
-- Why: Who a segment meant at a given time must be answerable.
-- Undo: DROP TABLE layout_mutation.segment_versions, layout_mutation.segments; (export first: the documents are lost)

CREATE TABLE layout_mutation.segments (
    id text NOT NULL,
    version integer NOT NULL,
    change bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    content json NOT NULL,
    CONSTRAINT segments_pk PRIMARY KEY (id),
    CONSTRAINT segments_version_positive CHECK (version > 0),
    CONSTRAINT segments_id_is_in_content CHECK (content ->> 'id' = id)
);
CREATE UNIQUE INDEX segments_by_change ON layout_mutation.segments (change);

COMMENT ON TABLE layout_mutation.segments IS 'The present version of every segment.';
COMMENT ON COLUMN layout_mutation.segments.id IS 'Stable id, kept across export, import and federation.';
COMMENT ON COLUMN layout_mutation.segments.version IS 'Grows by one with every saved change.';
COMMENT ON COLUMN layout_mutation.segments.change IS 'Number of the last change among all documents; lists are ordered by it.';
COMMENT ON COLUMN layout_mutation.segments.deleted IS 'No longer there for anybody; kept for its history.';
COMMENT ON COLUMN layout_mutation.segments.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';

CREATE TABLE layout_mutation.segment_versions (
    id text NOT NULL,
    version integer NOT NULL,
    content json NOT NULL,
    action text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT segment_versions_pk PRIMARY KEY (id, version),
    CONSTRAINT segment_versions_of_a_segment FOREIGN KEY (id) REFERENCES layout_mutation.segments (id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT segment_versions_version_positive CHECK (version > 0)
);
CREATE TRIGGER segment_versions_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.segment_versions
    FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
CREATE TRIGGER segment_versions_are_not_emptied BEFORE TRUNCATE ON layout_mutation.segment_versions
    FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

COMMENT ON TABLE layout_mutation.segment_versions IS 'Every version of every segment; rows never change.';
COMMENT ON COLUMN layout_mutation.segment_versions.id IS 'The segment.';
COMMENT ON COLUMN layout_mutation.segment_versions.version IS '1 for the first, without gaps.';
COMMENT ON COLUMN layout_mutation.segment_versions.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys, and the first variation is the control.';
COMMENT ON COLUMN layout_mutation.segment_versions.action IS 'What the change was, for example updated or rolled_back.';
COMMENT ON COLUMN layout_mutation.segment_versions.actor IS 'Who made the change: the subject of the token.';
COMMENT ON COLUMN layout_mutation.segment_versions.reason IS 'Why, in the words of the actor; empty if nothing was said.';
COMMENT ON COLUMN layout_mutation.segment_versions.at IS 'When the change was made.';
