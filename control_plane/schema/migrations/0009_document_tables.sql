-- What: Declared attributes, saved groups and toggles with every version they ever had; and a function that makes such tables.
-- Why: What visits remember, what conditions mean and what was off at a given time must be answerable. The shape is said once.
-- Undo: DROP TABLE layout_mutation.attribute_versions, layout_mutation.attributes, layout_mutation.saved_group_versions, layout_mutation.saved_groups, layout_mutation.toggle_versions, layout_mutation.toggles; DROP FUNCTION layout_mutation.create_document_tables(text, text); (export first: the documents are lost)

CREATE FUNCTION layout_mutation.create_document_tables(one text, many text) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    template CONSTANT text := $template$
        CREATE TABLE layout_mutation.{many} (
            id text NOT NULL,
            version integer NOT NULL,
            change bigint NOT NULL,
            deleted boolean NOT NULL DEFAULT false,
            content json NOT NULL,
            CONSTRAINT {many}_pk PRIMARY KEY (id),
            CONSTRAINT {many}_version_positive CHECK (version > 0),
            CONSTRAINT {many}_id_is_in_content CHECK (content ->> 'id' = id)
        );
        CREATE UNIQUE INDEX {many}_by_change ON layout_mutation.{many} (change);

        COMMENT ON TABLE layout_mutation.{many} IS 'The present version of every {words}.';
        COMMENT ON COLUMN layout_mutation.{many}.id IS 'Stable id, kept across export, import and federation.';
        COMMENT ON COLUMN layout_mutation.{many}.version IS 'Grows by one with every saved change.';
        COMMENT ON COLUMN layout_mutation.{many}.change IS 'Number of the last change among all documents; lists are ordered by it.';
        COMMENT ON COLUMN layout_mutation.{many}.deleted IS 'No longer there for anybody; kept for its history.';
        COMMENT ON COLUMN layout_mutation.{many}.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys.';

        CREATE TABLE layout_mutation.{one}_versions (
            id text NOT NULL,
            version integer NOT NULL,
            content json NOT NULL,
            action text NOT NULL,
            actor text NOT NULL,
            reason text NOT NULL,
            at timestamptz NOT NULL,
            CONSTRAINT {one}_versions_pk PRIMARY KEY (id, version),
            CONSTRAINT {one}_versions_of_one FOREIGN KEY (id) REFERENCES layout_mutation.{many} (id) DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT {one}_versions_version_positive CHECK (version > 0)
        );
        CREATE TRIGGER {one}_versions_are_immutable BEFORE UPDATE OR DELETE ON layout_mutation.{one}_versions
            FOR EACH ROW EXECUTE FUNCTION layout_mutation.refuse_change();
        CREATE TRIGGER {one}_versions_are_not_emptied BEFORE TRUNCATE ON layout_mutation.{one}_versions
            FOR EACH STATEMENT EXECUTE FUNCTION layout_mutation.refuse_change();

        COMMENT ON TABLE layout_mutation.{one}_versions IS 'Every version of every {words}; rows never change.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.id IS 'The {words}.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.version IS '1 for the first, without gaps.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.content IS 'The document as rules.model writes it; json and not jsonb, which would reorder keys.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.action IS 'What the change was, for example created or updated.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.actor IS 'Who made the change: the subject of the token.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.reason IS 'Why, in the words of the actor; empty if nothing was said.';
        COMMENT ON COLUMN layout_mutation.{one}_versions.at IS 'When the change was made.';
    $template$;
BEGIN
    IF one !~ '^[a-z][a-z_]{0,40}$' OR many !~ '^[a-z][a-z_]{0,40}$' THEN
        RAISE EXCEPTION 'tables are named in small letters and _, not % and %', one, many;
    END IF;
    EXECUTE replace(replace(replace(template, '{one}', one), '{many}', many), '{words}', replace(one, '_', ' '));
END
$function$;

COMMENT ON FUNCTION layout_mutation.create_document_tables(text, text) IS 'Makes the two tables of a kind of document: its name for one and for many, for example toggle and toggles.';

SELECT layout_mutation.create_document_tables('attribute', 'attributes');
SELECT layout_mutation.create_document_tables('saved_group', 'saved_groups');
SELECT layout_mutation.create_document_tables('toggle', 'toggles');
