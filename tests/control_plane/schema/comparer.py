"""A schema as lines of text, by other questions than the healer's own: what must be equal after healing.

It asks `information_schema`, the views for people (`pg_indexes`, `pg_policies`, `pg_sequences`) and `pg_identify_object`.
Counterpart: `test_healing.py` compares a healed schema with a fresh one. Never: a module of the service.
"""

import asyncpg

QUESTIONS = (
    (
        "SELECT format('column %s.%s %s %s default=%s generated=%s:%s identity=%s', table_name, column_name, data_type, is_nullable, "
        "column_default, is_generated, generation_expression, identity_generation) FROM information_schema.columns WHERE table_schema = 'layout_mutation'"
    ),
    (
        "SELECT format('index %s valid=%s', indexdef, (SELECT indisvalid FROM pg_index WHERE indexrelid = format('%I.%I', schemaname, indexname)::regclass)) "
        "FROM pg_indexes WHERE schemaname = 'layout_mutation'"
    ),
    (
        "SELECT format('constraint %s %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid, true), convalidated) FROM pg_constraint "
        "WHERE connamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'layout_mutation') AND contype <> 'n'"
    ),
    (
        "SELECT format('trigger %s %s %s %s %s', event_object_table, trigger_name, event_manipulation, action_timing, action_statement) "
        "FROM information_schema.triggers WHERE trigger_schema = 'layout_mutation'"
    ),
    "SELECT format('firing %s %s %s', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text LIKE 'layout_mutation.%'",
    "SELECT format('policy %s', p) FROM pg_policies AS p WHERE schemaname = 'layout_mutation'",
    "SELECT format('security %s %s %s', relname, relrowsecurity, relforcerowsecurity) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace::regnamespace::text = 'layout_mutation'",
    "SELECT format('granted %s %s %s', grantee, table_name, privilege_type) FROM information_schema.role_table_grants WHERE table_schema = 'layout_mutation'",
    "SELECT format('granted %s %s.%s %s', grantee, table_name, column_name, privilege_type) FROM information_schema.column_privileges WHERE table_schema = 'layout_mutation'",
    "SELECT format('routine %s %s %s %s', p.oid::regprocedure, prosrc, prosecdef, proconfig) FROM pg_proc p WHERE pronamespace::regnamespace::text = 'layout_mutation'",
    "SELECT format('callable %s %s', routine_name, grantee) FROM information_schema.routine_privileges WHERE routine_schema = 'layout_mutation'",
    "SELECT format('sequence %s %s %s %s %s %s', sequencename, data_type, start_value, increment_by, min_value, max_value) FROM pg_sequences WHERE schemaname = 'layout_mutation'",
    (
        "SELECT format('comment %s %s: %s', o.type, o.identity, description) FROM pg_description, pg_identify_object(classoid, objoid, objsubid) AS o "
        "WHERE o.identity LIKE '%layout_mutation.%' AND o.schema IS DISTINCT FROM 'pg_catalog'"
    ),
)


async def described(url: str) -> list[str]:
    """The schema `layout_mutation` of a database, line by line."""
    connection = await asyncpg.connect(url)
    try:
        lines = [row[0] for question in QUESTIONS for row in await connection.fetch(question)]
    finally:
        await connection.close()
    return sorted(lines)
