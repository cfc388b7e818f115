-- A day that arrives for the first time is filled beside the table, indexed once, and attached: several times less work than
-- keeping its key while it grows, and readers and writers of other days are never shut out.

create function begin_day_partition(parent text, day date) returns text
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    if parent not in ('raw_trades', 'raw_quotes') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    if to_regclass(child) is null then
        -- Other writers of the new day wait here, and in ensure_day_partition, until this one commits; then they find it made.
        perform pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(child));
    end if;
    -- Asked of the catalogue's rows: a name that was looked up in vain stays so in the cache while an advisory lock is waited for.
    if exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
        return null;
    end if;
    execute format('create table %I (like %I including defaults including constraints)', child, parent);
    -- Held to its bounds from the first row, it is not read once more when it is attached.
    execute format(
        'alter table %I add constraint is_of_day check (event_time >= %L and event_time < %L)',
        child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
    );
    execute format('grant insert on %I to rrr_writer', child);
    return child;
end;
$$;
comment on function begin_day_partition(text, date) is
'Makes the table of a day that has no partition, for the caller to fill and attach in the same transaction; null where there is one.';

create function attach_day_partition(parent text, day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
-- Rows come in the order of their key: one process sorts them with a glance, several would first mix them up.
set max_parallel_maintenance_workers = 0
set maintenance_work_mem = '256MB'
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    if parent not in ('raw_trades', 'raw_quotes') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    -- The parent's indexes, made before it is touched.
    execute (
        select format('alter table %I add %s', child, pg_get_constraintdef(c.oid))
        from pg_constraint as c
        where c.conrelid = parent::regclass and c.contype = 'p'
    );
    execute format('create index on %I using brin (event_time) with (pages_per_range = 32, autosummarize = on)', child);
    execute format(
        'alter table %I attach partition %I for values from (%L) to (%L)',
        parent, child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
    );
    execute format('alter table %I drop constraint is_of_day', child);
    execute format('revoke insert on %I from rrr_writer', child);
end;
$$;
comment on function attach_day_partition(text, date) is 'Indexes what was loaded into the table of begin_day_partition, and makes it the partition of its day.';

revoke execute on function begin_day_partition(text, date), attach_day_partition(text, date) from public;
grant execute on function begin_day_partition(text, date), attach_day_partition(text, date) to rrr_writer;
