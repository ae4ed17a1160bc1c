-- What: Tables of small things beside the rules: alerts, backups, conflicts, peers, schedules, settings, suggestions.
-- Why: They are looked up by id and listed whole, have no history, and are mirrored and moved with everything else. The shape is said once.
-- Undo: DROP TABLE layout_mutation.alerts, layout_mutation.backups, layout_mutation.conflicts, layout_mutation.peers, layout_mutation.schedules, layout_mutation.settings, layout_mutation.suggestions; DROP FUNCTION layout_mutation.create_shelf(text, text); (export first: they are lost)

CREATE FUNCTION layout_mutation.create_shelf(many text, meaning text) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    template CONSTANT text := $template$
        CREATE TABLE layout_mutation.{many} (
            id text NOT NULL,
            change bigint NOT NULL,
            deleted boolean NOT NULL DEFAULT false,
            content json NOT NULL,
            at timestamptz NOT NULL,
            CONSTRAINT {many}_pk PRIMARY KEY (id),
            CONSTRAINT {many}_content_is_an_object CHECK (json_typeof(content) = 'object')
        );
        CREATE UNIQUE INDEX {many}_by_change ON layout_mutation.{many} (change);

        COMMENT ON COLUMN layout_mutation.{many}.id IS 'Stable id.';
        COMMENT ON COLUMN layout_mutation.{many}.change IS 'Number of the last change among all documents and things; lists are ordered by it.';
        COMMENT ON COLUMN layout_mutation.{many}.deleted IS 'Discarded; kept so that mirrors hear of it.';
        COMMENT ON COLUMN layout_mutation.{many}.content IS 'The thing itself, as the service that owns it writes it.';
        COMMENT ON COLUMN layout_mutation.{many}.at IS 'When it changed last.';
    $template$;
BEGIN
    IF many !~ '^[a-z][a-z_]{0,40}$' THEN
        RAISE EXCEPTION 'tables are named in small letters and _, not %', many;
    END IF;
    EXECUTE replace(template, '{many}', many);
    EXECUTE format('COMMENT ON TABLE layout_mutation.%I IS %L', many, meaning);
END
$function$;

COMMENT ON FUNCTION layout_mutation.create_shelf(text, text) IS 'Makes the table of one kind of thing, with what it means.';

SELECT layout_mutation.create_shelf('alerts', 'What a person should know of, open or over.');
SELECT layout_mutation.create_shelf('backups', 'Backups that were made, and where they are.');
SELECT layout_mutation.create_shelf('conflicts', 'Changes made while the database was away that met others; for a person to settle.');
SELECT layout_mutation.create_shelf('peers', 'Other installations that rules are exchanged with; secrets are named, never kept.');
SELECT layout_mutation.create_shelf('schedules', 'What is done regularly by one of all instances, when it was done and when it is due.');
SELECT layout_mutation.create_shelf('settings', 'What people set for the whole installation while it runs.');
SELECT layout_mutation.create_shelf('suggestions', 'Mutations that were proposed, and what became of them.');
