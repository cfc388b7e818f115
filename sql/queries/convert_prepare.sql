-- Makes, beside each table that is partitioned by day, the hypertable that will take its place, with its columns, keys, indexes,
-- rights and comments; and the book of the days that were moved. Those that are there already stay.
do $$
declare
    plain record;
    part record;
begin
    create schema if not exists converting;
    create table if not exists converting.days (
        relation text not null,
        day date not null,
        row_count bigint not null,
        row_hash numeric not null,
        moved_through bigint not null,
        primary key (relation, day)
    );
    for plain in
        select c.oid, c.relname, c.relacl, c.relowner from pg_class as c where c.relkind = 'p' and c.relnamespace = 'public'::regnamespace
    loop
        continue when to_regclass(format('converting.%I', plain.relname)) is not null;
        execute format(
            'create table converting.%I (like public.%I including all excluding indexes)', plain.relname, plain.relname
        );
        for part in
            select pg_get_constraintdef(k.oid) as definition, k.conname from pg_constraint as k
            where k.conrelid = plain.oid and k.contype in ('p', 'u')
        loop
            execute format('alter table converting.%I add constraint %I %s', plain.relname, part.conname, part.definition);
        end loop;
        for part in
            select replace(pg_get_indexdef(i.indexrelid), ' ON ONLY public.', ' ON converting.') as definition from pg_index as i
            where i.indrelid = plain.oid and not exists (select 1 from pg_constraint as k where k.conindid = i.indexrelid)
        loop
            execute part.definition;
        end loop;
        for part in
            select g.privilege_type, g.grantee::regrole::text as grantee from aclexplode(plain.relacl) as g
            where g.grantee not in (0, plain.relowner)
        loop
            execute format('grant %s on converting.%I to %I', part.privilege_type, plain.relname, part.grantee);
        end loop;
        execute format(
            'comment on table converting.%I is %L', plain.relname, obj_description(plain.oid, 'pg_class')
        );
        perform public.create_hypertable(
            format('converting.%I', plain.relname)::regclass, public.by_range('event_time', interval '1 day'), create_default_indexes => false
        );
    end loop;
end;
$$;
