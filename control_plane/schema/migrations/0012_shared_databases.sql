-- What: Row-level security and privileges for databases that are shared, a shelf for rows that fit nowhere, and a reason for every constraint, index, trigger and policy.
-- Why: Beside other programs, roles and an API over the whole database (Supabase's anon), nobody may see or change rules who was not let in; and a schema is only repaired safely by those who know what each part is for.
-- Undo: SELECT layout_mutation.revoke_access(role) FROM layout_mutation.granted_roles; DO $$ DECLARE one record; BEGIN FOR one IN SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'layout_mutation' LOOP EXECUTE format('DROP POLICY %I ON layout_mutation.%I', one.policyname, one.tablename); END LOOP; FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'layout_mutation' LOOP EXECUTE format('ALTER TABLE layout_mutation.%I DISABLE ROW LEVEL SECURITY', one.tablename); END LOOP; END $$; DROP FUNCTION layout_mutation.protect(), layout_mutation.explain(), layout_mutation.grant_access(text, text), layout_mutation.revoke_access(text), layout_mutation.outsiders(), layout_mutation.access_of(name); DROP TABLE layout_mutation.granted_roles, layout_mutation.quarantines; (what was quarantined is lost)
-- Locks: instant: ACCESS EXCLUSIVE on every table

SELECT layout_mutation.create_shelf('quarantines', 'Rows that fitted nowhere any more, with the reason; moved here by repairs, never deleted.');

CREATE TABLE layout_mutation.granted_roles (
    role text NOT NULL,
    may text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT granted_roles_pk PRIMARY KEY (role),
    CONSTRAINT granted_roles_may_is_known CHECK (may IN ('read', 'write'))
);
COMMENT ON TABLE layout_mutation.granted_roles IS 'Roles of this server that were let in beside the owner of the schema; grants to others are drift.';
COMMENT ON COLUMN layout_mutation.granted_roles.role IS 'Name of the role.';
COMMENT ON COLUMN layout_mutation.granted_roles.may IS 'read: everything, and no change. write: what the service does, without changing the schema or its history.';
COMMENT ON COLUMN layout_mutation.granted_roles.at IS 'When it was let in.';
COMMENT ON CONSTRAINT granted_roles_pk ON layout_mutation.granted_roles IS 'A role is let in once, for one thing.';
COMMENT ON CONSTRAINT granted_roles_may_is_known ON layout_mutation.granted_roles IS 'Privileges are given for these two words only.';

CREATE FUNCTION layout_mutation.access_of(who name) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $function$
    SELECT CASE
        WHEN pg_has_role(who, s.nspowner, 'MEMBER') THEN 'write'
        ELSE (SELECT max(g.may) FROM layout_mutation.granted_roles g JOIN pg_roles r ON r.rolname = g.role WHERE pg_has_role(who, r.oid, 'USAGE'))
    END
    FROM pg_namespace s WHERE s.nspname = 'layout_mutation'
$function$;
COMMENT ON FUNCTION layout_mutation.access_of(name) IS 'What a role may do here: read, write, or null for nothing; policies ask it. With the rights of the owner, so that granted_roles itself stays closed.';

CREATE FUNCTION layout_mutation.outsiders() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $function$
    SELECT concat_ws(', ', 'PUBLIC', string_agg(quote_ident(rolname), ', ' ORDER BY rolname))
    FROM pg_roles WHERE rolname IN ('anon', 'authenticated', 'authenticator', 'service_role')
$function$;
COMMENT ON FUNCTION layout_mutation.outsiders() IS 'Those who never get anything, as a list for REVOKE: everybody, and the roles of an API over the whole database.';

CREATE FUNCTION layout_mutation.protect() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
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
COMMENT ON FUNCTION layout_mutation.protect() IS 'Closes every table to those who were not let in, and gives privileges to those who were. Migrating ends with it, so that no later table is forgotten.';

CREATE FUNCTION layout_mutation.grant_access(role text, may text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = grant_access.role) THEN
        RAISE EXCEPTION 'there is no role %', grant_access.role USING HINT = 'create it first: CREATE ROLE … LOGIN';
    END IF;
    IF grant_access.role IN ('anon', 'authenticated', 'authenticator', 'service_role') THEN
        RAISE EXCEPTION 'the role % serves an API over the whole database and is never let in', grant_access.role USING HINT = 'make a role of its own';
    END IF;
    PERFORM layout_mutation.revoke_access(grant_access.role);
    INSERT INTO layout_mutation.granted_roles (role, may) VALUES (grant_access.role, grant_access.may);
    PERFORM layout_mutation.protect();
END
$function$;
COMMENT ON FUNCTION layout_mutation.grant_access(text, text) IS 'Lets a role in: SELECT layout_mutation.grant_access(''reporting'', ''read''). For the owner of the schema.';

CREATE FUNCTION layout_mutation.revoke_access(role text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
BEGIN
    IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = revoke_access.role) THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA layout_mutation FROM %I', revoke_access.role);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA layout_mutation FROM %I', revoke_access.role);
        EXECUTE format('REVOKE ALL ON ALL ROUTINES IN SCHEMA layout_mutation FROM %I', revoke_access.role);
        EXECUTE format('REVOKE ALL ON SCHEMA layout_mutation FROM %I', revoke_access.role);
    END IF;
    DELETE FROM layout_mutation.granted_roles g WHERE g.role = revoke_access.role;
END
$function$;
COMMENT ON FUNCTION layout_mutation.revoke_access(text) IS 'Takes from a role what it was granted here; nothing happens where it has nothing.';

CREATE FUNCTION layout_mutation.explain() RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $function$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT kind, name, owner, words FROM (
            SELECT 'CONSTRAINT' AS kind, x.conname AS name, c.relname AS owner, x.oid, 'pg_constraint' AS catalogue FROM pg_constraint x JOIN pg_class c ON c.oid = x.conrelid
            WHERE x.connamespace = 'layout_mutation'::regnamespace AND x.conparentid = 0
            UNION ALL SELECT 'INDEX', c.relname, NULL, c.oid, 'pg_class' FROM pg_class c
            WHERE c.relnamespace = 'layout_mutation'::regnamespace AND c.relkind IN ('i', 'I') AND NOT c.relispartition
            UNION ALL SELECT 'TRIGGER', t.tgname, c.relname, t.oid, 'pg_trigger' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
            WHERE c.relnamespace = 'layout_mutation'::regnamespace AND NOT t.tgisinternal AND t.tgparentid = 0
        ) AS present JOIN (VALUES
            ('CONSTRAINT', '_versions_pk$', 'A version of one document is there once.'),
            ('CONSTRAINT', '_versions_of_(a_.*|one)$', 'No history without its document; looked at when the transaction ends, since both are written in one.'),
            ('CONSTRAINT', '_version_positive$', 'Versions count from 1.'),
            ('CONSTRAINT', '_id_is_in_content$', 'A row and the document in it speak of the same one.'),
            ('CONSTRAINT', '_content_is_an_object$', 'Whoever reads a thing may rely on members.'),
            ('CONSTRAINT', '_pk$', 'Each is there once, and is found by it.'),
            ('INDEX', '_by_change$', 'No two changes have one number; lists and mirrors go by it.'),
            ('TRIGGER', '_are_immutable$', 'What is history is never changed or removed, by whatever program.'),
            ('TRIGGER', '_are_not_emptied$', 'What is history is never emptied either; TRUNCATE passes by triggers of rows.')
        ) AS known (of, pattern, words) ON known.of = present.kind AND present.name ~ known.pattern
        WHERE obj_description(present.oid, present.catalogue) IS NULL ORDER BY length(known.pattern)
    LOOP
        -- Of several patterns that fit the longest comes last, and stays.
        EXECUTE format(CASE WHEN one.owner IS NULL THEN 'COMMENT ON %s layout_mutation.%I IS %L' ELSE 'COMMENT ON %s %I ON layout_mutation.%4$I IS %3$L' END, one.kind, one.name, one.words, one.owner);
    END LOOP;
END
$function$;
COMMENT ON FUNCTION layout_mutation.explain() IS 'Gives constraints, indexes and triggers that are named as all of their kind their reason, where they have none. Migrating ends with it.';

COMMENT ON CONSTRAINT schema_migrations_pk ON layout_mutation.schema_migrations IS 'A migration is applied once.';
COMMENT ON CONSTRAINT ledger_pk ON layout_mutation.ledger IS 'One row, which every writer locks.';
COMMENT ON CONSTRAINT ledger_has_one_row ON layout_mutation.ledger IS 'With the key: never a second row.';
COMMENT ON CONSTRAINT ledger_counts_up ON layout_mutation.ledger IS 'Both begin at nothing and only grow.';
COMMENT ON CONSTRAINT installation_pk ON layout_mutation.installation IS 'A database belongs to one installation.';
COMMENT ON CONSTRAINT installation_has_one_row ON layout_mutation.installation IS 'With the key: never a second row.';
COMMENT ON CONSTRAINT installation_epoch_positive ON layout_mutation.installation IS 'Epochs count from 1.';
COMMENT ON INDEX layout_mutation.mutations_served IS 'What goes into the decision table is read at every change, and is a small part of all.';
COMMENT ON INDEX layout_mutation.mutations_by_module IS 'Which mutations need a module is asked before one is changed or deleted.';
COMMENT ON CONSTRAINT published_tables_pk ON layout_mutation.published_tables IS 'A version is published once.';
COMMENT ON CONSTRAINT published_tables_digest_is_sha256 ON layout_mutation.published_tables IS 'Equal rules are recognised by it, so nothing else may stand there.';
COMMENT ON CONSTRAINT audit_entries_pk ON layout_mutation.audit_entries IS 'Entries are numbered; each number is given once.';
COMMENT ON CONSTRAINT audit_entries_number_positive ON layout_mutation.audit_entries IS 'Entries count from 1.';
COMMENT ON CONSTRAINT audit_entries_digest_is_sha256 ON layout_mutation.audit_entries IS 'A content is compared with it, so nothing else may stand there.';
COMMENT ON CONSTRAINT audit_entries_hash_is_sha256 ON layout_mutation.audit_entries IS 'Seals of the chain are HMAC-SHA256.';
COMMENT ON CONSTRAINT audit_entries_chain_is_whole ON layout_mutation.audit_entries IS 'A seal without its key or the seal before it proves nothing.';
COMMENT ON INDEX layout_mutation.audit_entries_by_subject IS 'The history page of one document reads its newest entries.';
COMMENT ON INDEX layout_mutation.audit_entries_by_changeset IS 'What one transaction did is undone and shown together.';
COMMENT ON CONSTRAINT idempotency_keys_pk ON layout_mutation.idempotency_keys IS 'A key is used once by whoever chose it; two clients may choose the same.';
COMMENT ON INDEX layout_mutation.idempotency_keys_by_age IS 'Old keys are forgotten by their age.';
COMMENT ON CONSTRAINT used_sign_ins_pk ON layout_mutation.used_sign_ins IS 'A link signs in once: the second insertion is refused.';
COMMENT ON INDEX layout_mutation.used_sign_ins_by_age IS 'Ended links are forgotten by their age.';

SELECT layout_mutation.explain(), layout_mutation.protect();
