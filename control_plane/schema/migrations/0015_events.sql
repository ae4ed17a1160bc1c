-- What: What sidecars tell of visits: events and exposures in partitions of a day, and hourly counts of them.
-- Why: Reports ask for counts, experiments for exposures; a day that is over its time is dropped whole instead of row by row.
-- Undo: make layout_mutation.protect() as in 0013 anew; DROP TABLE layout_mutation.events, layout_mutation.exposures, layout_mutation.rollups; DROP FUNCTION layout_mutation.make_event_partitions(integer), layout_mutation.drop_event_partitions(timestamptz, timestamptz); (what was told is lost)

CREATE TABLE layout_mutation.events (
    id text NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    site text NOT NULL,
    subjects text[] NOT NULL,
    content json NOT NULL,
    CONSTRAINT events_pk PRIMARY KEY (id, at),
    CONSTRAINT events_kind_is_known CHECK (kind IN ('execution', 'conversion'))
) PARTITION BY RANGE (at);
CREATE INDEX events_by_time ON layout_mutation.events (at);

COMMENT ON TABLE layout_mutation.events IS 'Pages that were decided and conversions, as sidecars told them. Neither mirrored nor exported: they are many, and rules do not depend on them.';
COMMENT ON COLUMN layout_mutation.events.id IS 'The same each time that the event is delivered.';
COMMENT ON COLUMN layout_mutation.events.at IS 'When the sidecar saw it.';
COMMENT ON COLUMN layout_mutation.events.kind IS 'execution or conversion.';
COMMENT ON COLUMN layout_mutation.events.site IS 'Host of the page.';
COMMENT ON COLUMN layout_mutation.events.subjects IS 'Mutations that an execution names, or the name of a conversion.';
COMMENT ON COLUMN layout_mutation.events.content IS 'The event as service.events writes it.';
COMMENT ON CONSTRAINT events_pk ON layout_mutation.events IS 'An event that is delivered again is the same one; at is part of it because partitions are made by it.';
COMMENT ON CONSTRAINT events_kind_is_known ON layout_mutation.events IS 'Exposures have a table of their own.';
COMMENT ON INDEX layout_mutation.events_by_time IS 'The newest are listed first.';
CREATE TABLE layout_mutation.events_default (LIKE layout_mutation.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS);
ALTER TABLE layout_mutation.events ATTACH PARTITION layout_mutation.events_default DEFAULT;
COMMENT ON TABLE layout_mutation.events_default IS 'Events of days that have no partition; they move when it is made.';

CREATE TABLE layout_mutation.exposures (
    id text NOT NULL,
    at timestamptz NOT NULL,
    site text NOT NULL,
    table_version bigint NOT NULL,
    experiment text NOT NULL,
    variation text NOT NULL,
    attribute text NOT NULL,
    unit text NOT NULL,
    shown boolean NOT NULL,
    CONSTRAINT exposures_pk PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX exposures_by_experiment ON layout_mutation.exposures (experiment, at);

COMMENT ON TABLE layout_mutation.exposures IS 'Visits in a variation that came to where the variations differ. Neither mirrored nor exported, as events.';
COMMENT ON COLUMN layout_mutation.exposures.id IS 'The same each time that the event is delivered.';
COMMENT ON COLUMN layout_mutation.exposures.at IS 'When the sidecar saw it.';
COMMENT ON COLUMN layout_mutation.exposures.site IS 'Host of the page.';
COMMENT ON COLUMN layout_mutation.exposures.table_version IS 'Version of the decision table that decided.';
COMMENT ON COLUMN layout_mutation.exposures.experiment IS 'Id of the experiment.';
COMMENT ON COLUMN layout_mutation.exposures.variation IS 'Key of the variation.';
COMMENT ON COLUMN layout_mutation.exposures.attribute IS 'Attribute that the visit was bucketed by.';
COMMENT ON COLUMN layout_mutation.exposures.unit IS 'Pseudonym of the unit; only equality can be asked of it.';
COMMENT ON COLUMN layout_mutation.exposures.shown IS 'Whether the page showed the variation.';
COMMENT ON CONSTRAINT exposures_pk ON layout_mutation.exposures IS 'An event that is delivered again is the same one; at is part of it because partitions are made by it.';
COMMENT ON INDEX layout_mutation.exposures_by_experiment IS 'Experiments are analysed one at a time, from a time on.';
CREATE TABLE layout_mutation.exposures_default (LIKE layout_mutation.exposures INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS);
ALTER TABLE layout_mutation.exposures ATTACH PARTITION layout_mutation.exposures_default DEFAULT;
COMMENT ON TABLE layout_mutation.exposures_default IS 'Exposures of days that have no partition; they move when it is made.';

CREATE TABLE layout_mutation.rollups (
    hour timestamptz NOT NULL,
    kind text NOT NULL,
    site text NOT NULL,
    subject text NOT NULL,
    outcome text NOT NULL,
    events bigint NOT NULL,
    estimate double precision NOT NULL,
    CONSTRAINT rollups_pk PRIMARY KEY (hour, kind, site, subject, outcome),
    CONSTRAINT rollups_kind_is_known CHECK (kind IN ('page', 'mutation', 'experiment', 'conversion')),
    CONSTRAINT rollups_events_positive CHECK (events > 0)
);

COMMENT ON TABLE layout_mutation.rollups IS 'Events counted by the hour, each once; what reports are made from. Neither mirrored nor exported, as events.';
COMMENT ON COLUMN layout_mutation.rollups.hour IS 'Beginning of the hour, UTC.';
COMMENT ON COLUMN layout_mutation.rollups.kind IS 'What is counted: page, mutation, experiment or conversion.';
COMMENT ON COLUMN layout_mutation.rollups.site IS 'Host of the pages.';
COMMENT ON COLUMN layout_mutation.rollups.subject IS 'Id of the mutation or experiment, or name of the conversion; empty for pages.';
COMMENT ON COLUMN layout_mutation.rollups.outcome IS 'What became of it: a reason, or the key of a variation; empty for conversions.';
COMMENT ON COLUMN layout_mutation.rollups.events IS 'How many events said so.';
COMMENT ON COLUMN layout_mutation.rollups.estimate IS 'How many there were: each event counted as 1 / share of those that are told of.';
COMMENT ON CONSTRAINT rollups_pk ON layout_mutation.rollups IS 'One count for each; events are added to it.';
COMMENT ON CONSTRAINT rollups_kind_is_known ON layout_mutation.rollups IS 'Reports know these four.';
COMMENT ON CONSTRAINT rollups_events_positive ON layout_mutation.rollups IS 'What never happened has no row.';

CREATE FUNCTION layout_mutation.make_event_partitions(ahead integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog SET timezone = 'UTC' AS $function$
DECLARE
    parent text;
    day date;
    part text;
    made integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['events', 'exposures'] LOOP
        EXECUTE format('LOCK TABLE layout_mutation.%I IN SHARE UPDATE EXCLUSIVE MODE', parent);
        FOR day IN EXECUTE format(
            'SELECT generate_series(current_date - 1, current_date + $1, interval ''1 day'')::date UNION '
            'SELECT at::date FROM layout_mutation.%I WHERE at > now() - interval ''400 days'' AND at < current_date + $1 ORDER BY 1',
            parent || '_default') USING ahead
        LOOP
            part := format('%s_p%s', parent, to_char(day, 'YYYYMMDD'));
            CONTINUE WHEN to_regclass('layout_mutation.' || part) IS NOT NULL;
            EXECUTE format('CREATE TABLE layout_mutation.%I (LIKE layout_mutation.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS)', part, parent);
            EXECUTE format('COMMENT ON TABLE layout_mutation.%I IS %L', part, format('The %s of %s, UTC.', parent, day));
            EXECUTE format('ALTER TABLE layout_mutation.%I ENABLE ROW LEVEL SECURITY', part);
            EXECUTE format('WITH moved AS (DELETE FROM layout_mutation.%I WHERE at >= $1 AND at < $1 + 1 RETURNING *) INSERT INTO layout_mutation.%I SELECT * FROM moved', parent || '_default', part) USING day;
            EXECUTE format('ALTER TABLE layout_mutation.%I ATTACH PARTITION layout_mutation.%I FOR VALUES FROM (%L) TO (%L)', parent, part, day, day + 1);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$function$;
COMMENT ON FUNCTION layout_mutation.make_event_partitions(integer) IS 'Makes the partitions of yesterday, today and so many days ahead, and of days that lie in the default one; how many. With the rights of the owner, so that the service needs none over the schema.';

CREATE FUNCTION layout_mutation.drop_event_partitions(events_before timestamptz, rollups_before timestamptz) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog SET timezone = 'UTC' AS $function$
DECLARE
    parent text;
    part text;
    dropped integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['events', 'exposures'] LOOP
        FOR part IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = ('layout_mutation.' || parent)::regclass AND c.relname ~ ('^' || parent || '_p[0-9]{8}$')
            AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= events_before ORDER BY c.relname
        LOOP
            EXECUTE format('DROP TABLE layout_mutation.%I', part);
            dropped := dropped + 1;
        END LOOP;
        EXECUTE format('DELETE FROM layout_mutation.%I WHERE at < $1', parent || '_default') USING events_before;
    END LOOP;
    DELETE FROM layout_mutation.rollups WHERE hour < rollups_before;
    RETURN dropped;
END
$function$;
COMMENT ON FUNCTION layout_mutation.drop_event_partitions(timestamptz, timestamptz) IS 'Drops the partitions of days that were over before the first moment, and counts of hours before the second; how many partitions. With the rights of the owner.';

REVOKE ALL ON FUNCTION layout_mutation.make_event_partitions(integer), layout_mutation.drop_event_partitions(timestamptz, timestamptz) FROM PUBLIC;
SELECT layout_mutation.make_event_partitions(7);

-- As before, and roles that may write make and drop partitions, by way of the two functions only.
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
        IF granted.may = 'write' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION layout_mutation.make_event_partitions(integer), layout_mutation.drop_event_partitions(timestamptz, timestamptz) TO %s', granted.role);
        END IF;
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
