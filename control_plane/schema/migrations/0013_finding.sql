-- What: Indexes for every filter of lists, for text inside ids, names and notes, for who names whom, and for audit pages; three functions.
-- Why: Lists, search, history and publishing take no longer with 100,000 mutations than with 100, and no extension is needed: a role may seldom create one.
-- Undo: DROP INDEX layout_mutation.mutations_by_text, layout_mutation.mutations_present, layout_mutation.mutations_by_id, layout_mutation.mutations_by_site, layout_mutation.mutations_by_layout, layout_mutation.mutations_by_page, layout_mutation.mutations_by_type, layout_mutation.mutations_by_status, layout_mutation.mutations_on, layout_mutation.mutation_versions_by_word, layout_mutation.experiment_versions_by_word, layout_mutation.audit_entries_by_kind, layout_mutation.audit_entries_by_subject_alone; ALTER TABLE layout_mutation.mutations DROP COLUMN search_text; DROP FUNCTION layout_mutation.grams(text), layout_mutation.grams_asked(text), layout_mutation.words(json); (the indexes mutations_served and mutations_by_module go on with the columns that they have now)

CREATE FUNCTION layout_mutation.grams(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL RESTRICTED AS $$
    SELECT array_agg(DISTINCT substr(given, at, length)) FROM generate_series(1, char_length(given)) AS at,
        generate_series(1, 3) AS length WHERE at + length <= char_length(given) + 1
$$;
COMMENT ON FUNCTION layout_mutation.grams(text) IS 'Every piece of one, two and three characters, for an index of texts that are found by a part of them. Not for parallel workers: to start them takes longer than what they would do.';

CREATE FUNCTION layout_mutation.grams_asked(given text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN given = '' THEN '{}' WHEN char_length(given) < 4 THEN ARRAY[given] ELSE
        ARRAY[left(given, 3), right(given, 3)] END
$$;
COMMENT ON FUNCTION layout_mutation.grams_asked(text) IS 'Two pieces that a text has if this is a part of it. Not all of them: the planner takes pieces for independent, and would think that nothing has so many.';

CREATE FUNCTION layout_mutation.words(document json) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_to_array(document::text, '"')
$$;
COMMENT ON FUNCTION layout_mutation.words(json) IS 'Everything between two quotation marks, for an index of documents by the ids that they name.';

ALTER TABLE layout_mutation.mutations ADD COLUMN search_text text GENERATED ALWAYS AS (
    lower(id || ' ' || coalesce(content ->> 'name', '') || ' ' || coalesce(content ->> 'note', ''))
) STORED;
COMMENT ON COLUMN layout_mutation.mutations.search_text IS 'What a search by text looks at: id, name and note, in small letters.';

CREATE INDEX mutations_by_text ON layout_mutation.mutations USING gin (layout_mutation.grams(search_text));
COMMENT ON INDEX layout_mutation.mutations_by_text IS 'Search by a part of the id, name or note.';
CREATE INDEX mutations_present ON layout_mutation.mutations (change) WHERE NOT deleted AND status <> 'archived';
COMMENT ON INDEX layout_mutation.mutations_present IS 'The list as it opens: everything but the archived, the last changed first.';
CREATE INDEX mutations_by_id ON layout_mutation.mutations (id COLLATE "C") WHERE NOT deleted;
COMMENT ON INDEX layout_mutation.mutations_by_id IS 'Ids in an order that no database''s language changes.';
CREATE INDEX mutations_by_site ON layout_mutation.mutations (site, change) WHERE NOT deleted;
CREATE INDEX mutations_by_layout ON layout_mutation.mutations (layout_id, change) WHERE NOT deleted;
CREATE INDEX mutations_by_page ON layout_mutation.mutations (page_slug, change) WHERE NOT deleted;
CREATE INDEX mutations_by_type ON layout_mutation.mutations (mutation_type, change) WHERE NOT deleted;
CREATE INDEX mutations_by_status ON layout_mutation.mutations (status, change) WHERE NOT deleted;
CREATE INDEX mutations_on ON layout_mutation.mutations (change) WHERE is_active AND NOT deleted;
DROP INDEX layout_mutation.mutations_served;
CREATE INDEX mutations_served ON layout_mutation.mutations (id COLLATE "C")
    WHERE is_active AND status IN ('active', 'experimental') AND NOT deleted;
DROP INDEX layout_mutation.mutations_by_module;
CREATE INDEX mutations_by_module ON layout_mutation.mutations (module_id, change) WHERE NOT deleted;
COMMENT ON INDEX layout_mutation.mutations_by_site IS 'Lists of one site, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_by_layout IS 'Lists of one page template, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_by_page IS 'Lists of one path pattern, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_by_type IS 'Lists of one kind of change, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_by_status IS 'Lists of one status, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_on IS 'Lists of what is on, the last changed first.';
COMMENT ON INDEX layout_mutation.mutations_served IS 'What visitors get, in the order of tables, without sorting it.';
COMMENT ON INDEX layout_mutation.mutations_by_module IS 'Lists of one module, the last changed first.';

CREATE INDEX mutation_versions_by_word ON layout_mutation.mutation_versions USING gin (layout_mutation.words(content))
    WHERE (content ->> 'isActive')::boolean AND content ->> 'status' IN ('active', 'experimental');
COMMENT ON INDEX layout_mutation.mutation_versions_by_word IS 'Which experiments were ever live: versions that were switched on, by the ids that they name.';
CREATE INDEX experiment_versions_by_word ON layout_mutation.experiment_versions USING gin (layout_mutation.words(content));
COMMENT ON INDEX layout_mutation.experiment_versions_by_word IS 'Which experiments required which, by the ids that they name.';

CREATE INDEX audit_entries_by_kind ON layout_mutation.audit_entries (kind, number);
CREATE INDEX audit_entries_by_subject_alone ON layout_mutation.audit_entries (subject, number);
COMMENT ON INDEX layout_mutation.audit_entries_by_kind IS 'The audit of one kind, newest first.';
COMMENT ON INDEX layout_mutation.audit_entries_by_subject_alone IS 'The audit of one id, newest first.';

-- As before, and what indexes are made with may be called by those who were let in.
CREATE OR REPLACE FUNCTION layout_mutation.protect() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
    one record;
    granted record;
    outsiders CONSTANT text := layout_mutation.outsiders();
    mine CONSTANT text := '(SELECT layout_mutation.access_of(current_user))';
BEGIN
    FOR one IN
        SELECT c.oid, c.relname, c.relrowsecurity, c.relispartition FROM pg_class c
        WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
    LOOP
        IF NOT one.relrowsecurity THEN
            EXECUTE format('ALTER TABLE layout_mutation.%I ENABLE ROW LEVEL SECURITY', one.relname);
        END IF;
        CONTINUE WHEN one.relispartition; -- rows are reached by way of the table as a whole
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = one.oid AND polname = one.relname || '_readers') THEN
            EXECUTE format('CREATE POLICY %I ON layout_mutation.%I FOR SELECT USING (%s IS NOT NULL)', one.relname || '_readers', one.relname, mine);
            EXECUTE format('COMMENT ON POLICY %I ON layout_mutation.%I IS %L', one.relname || '_readers', one.relname, 'Rows are for roles that were let in.');
        END IF;
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = one.oid AND polname = one.relname || '_writers') THEN
            EXECUTE format('CREATE POLICY %I ON layout_mutation.%I USING (%s = ''write'') WITH CHECK (%s = ''write'')', one.relname || '_writers', one.relname, mine, mine);
            EXECUTE format('COMMENT ON POLICY %I ON layout_mutation.%I IS %L', one.relname || '_writers', one.relname, 'Rows are changed by roles that may write.');
        END IF;
    END LOOP;

    EXECUTE format('REVOKE ALL ON SCHEMA layout_mutation FROM %s', outsiders);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA layout_mutation FROM %s', outsiders);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA layout_mutation FROM %s', outsiders);
    EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA layout_mutation FROM %s', outsiders);

    FOR granted IN SELECT quote_ident(g.role) AS role, g.may FROM layout_mutation.granted_roles g JOIN pg_roles r ON r.rolname = g.role LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA layout_mutation TO %s', granted.role);
        EXECUTE format('GRANT EXECUTE ON FUNCTION layout_mutation.access_of(name) TO %s', granted.role);
        FOR one IN SELECT p.oid::regprocedure AS name FROM pg_proc p WHERE p.pronamespace = 'layout_mutation'::regnamespace AND p.provolatile = 'i' LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', one.name, granted.role); -- indexes call these in the name of whoever writes
        END LOOP;
        FOR one IN
            SELECT c.relname, c.relkind, EXISTS (
                SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'layout_mutation.refuse_change()'::regprocedure
            ) AS is_history
            FROM pg_class c WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('r', 'p', 'S') AND NOT c.relispartition
        LOOP
            EXECUTE format('GRANT SELECT ON layout_mutation.%I TO %s', one.relname, granted.role);
            CONTINUE WHEN granted.may = 'read' OR one.relname IN ('granted_roles', 'schema_migrations');
            EXECUTE format(
                CASE WHEN one.relkind = 'S' THEN 'GRANT USAGE, UPDATE ON SEQUENCE layout_mutation.%I TO %s'
                WHEN one.is_history THEN 'GRANT INSERT ON layout_mutation.%I TO %s'
                ELSE 'GRANT INSERT, UPDATE, DELETE ON layout_mutation.%I TO %s' END, one.relname, granted.role);
        END LOOP;
    END LOOP;
END
$function$;

SELECT layout_mutation.explain(), layout_mutation.protect();
