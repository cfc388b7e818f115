-- What the catalogue says of some tables: columns, key, checks, comments, and who may do what.
select
    c.relname,
    obj_description(c.oid) as comment,
    (
        select jsonb_agg(d.described order by d.attnum)
        from (
            select
                a.attnum,
                jsonb_build_array(
                    a.attname, format_type(a.atttypid, a.atttypmod), not a.attnotnull, col_description(a.attrelid, a.attnum)
                ) as described
            from pg_attribute as a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        ) as d
    ) as columns,
    (
        select array_agg(a.attname::text order by k.place)
        from pg_constraint as p
        cross join unnest(p.conkey) with ordinality as k (attnum, place)
        inner join pg_attribute as a on p.conrelid = a.attrelid and k.attnum = a.attnum
        where p.conrelid = c.oid and p.contype = 'p'
    ) as key,
    (
        select jsonb_object_agg(p.conname, jsonb_build_array(pg_get_constraintdef(p.oid), p.convalidated))
        from pg_constraint as p
        where p.conrelid = c.oid and p.contype = 'c'
    ) as checks,
    has_table_privilege('rrr_analyst', c.oid, 'select') as analyst_reads,
    has_table_privilege('rrr_analyst', c.oid, 'insert, update, delete, truncate') as analyst_writes,
    has_table_privilege('rrr_writer', c.oid, 'select') as writer_reads,
    has_table_privilege('rrr_writer', c.oid, 'truncate') as writer_truncates
from pg_class as c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname = any(%(tables)s);
