-- Bars become hypertables too, in chunks of about as many rows each; and the warm tier of ticks and bars is the columnstore.
-- Nothing here moves by itself: which chunks are converted, and when, is decided outside the database.
-- Ticks are segmented by their space too, which is one on each day of an instrument: the key is then held by what is kept of a segment.

do $$
begin
    perform create_hypertable('bars_1m', by_range('bar_start', interval '7 days'), create_default_indexes => false, migrate_data => true);
    perform create_hypertable('bars_5m', by_range('bar_start', interval '30 days'), create_default_indexes => false, migrate_data => true);
    perform create_hypertable('bars_1h', by_range('bar_start', interval '365 days'), create_default_indexes => false, migrate_data => true);
    perform create_hypertable('bars_1d', by_range('bar_start', interval '3650 days'), create_default_indexes => false, migrate_data => true);
end;
$$;

alter table raw_trades set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument, space', timescaledb.orderby = 'event_time, sequence'
);
alter table raw_agg_trades set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument, space', timescaledb.orderby = 'event_time, sequence'
);
alter table raw_quotes set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument, space', timescaledb.orderby = 'event_time, sequence'
);
alter table raw_depth set (
    timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument, space', timescaledb.orderby = 'event_time, sequence'
);
alter table bars_1m set (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument', timescaledb.orderby = 'bar_start');
alter table bars_5m set (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument', timescaledb.orderby = 'bar_start');
alter table bars_1h set (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument', timescaledb.orderby = 'bar_start');
alter table bars_1d set (timescaledb.enable_columnstore, timescaledb.segmentby = 'instrument', timescaledb.orderby = 'bar_start');

-- A day that arrives for the first time is filled beside the hypertable, indexed once, and attached as its chunk: a third less work
-- than keeping its key while it grows. What was filled so lies here; the chunks that the database makes lie in a schema of its own.
create schema day_chunks;

-- A database that was moved over from plain PostgreSQL has functions of these names already.
create or replace function ensure_day_partition(parent text, day date) returns text
language plpgsql
security definer
set search_path = public, pg_temp
as $$
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    if not exists (
        select 1 from timescaledb_information.chunks as c
        where c.hypertable_schema = 'public' and c.hypertable_name = parent and c.range_start = day::timestamp at time zone 'UTC'
    ) then
        -- Who fills the new day beside the table commits first; then its chunk is there.
        perform pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(format('%s_%s', parent, to_char(day, 'YYYYMMDD'))));
    end if;
    return parent;
end;
$$;
comment on function ensure_day_partition(text, date) is
'Names where a day''s rows go: the table itself, which makes its chunks as rows come. Waits for who fills the day beside it.';

create or replace function begin_day_partition(parent text, day date) returns text
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    perform ensure_day_partition(parent, day);
    if exists (
        select 1 from timescaledb_information.chunks as c
        where c.hypertable_schema = 'public' and c.hypertable_name = parent and c.range_start = day::timestamp at time zone 'UTC'
    ) then
        return null;
    end if;
    execute format('create table public.%I (like %I including defaults including constraints)', child, parent);
    execute format('grant insert on public.%I to rrr_writer', child);
    return child;
end;
$$;
comment on function begin_day_partition(text, date) is
'Makes the table of a day that has no chunk, for the caller to fill and attach in the same transaction; null where there is one.';

create or replace function attach_day_partition(parent text, day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
-- Rows come in the order of their key: one process sorts them with a glance, several would first mix them up.
set max_parallel_maintenance_workers = 0
set maintenance_work_mem = '256MB'
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
    first_time timestamptz := day::timestamp at time zone 'UTC';
    last_time timestamptz := (day + 1)::timestamp at time zone 'UTC' - interval '1 microsecond';
    lowest_sequence bigint := -9223372036854775808;
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    execute (
        select format('alter table public.%I add %s', child, pg_get_constraintdef(c.oid))
        from pg_constraint as c
        where c.conrelid = parent::regclass and c.contype = 'p'
    );
    execute format('create index on public.%I using brin (event_time) with (pages_per_range = 32, autosummarize = on)', child);
    execute format('revoke insert on public.%I from rrr_writer', child);
    execute format('alter table public.%I set schema day_chunks', child);
    call attach_chunk(
        parent::regclass,
        format('day_chunks.%I', child)::regclass,
        jsonb_build_object(
            'event_time', jsonb_build_array(day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC')
        )
    );
    -- Of a chunk that is attached nobody tells the continuous aggregates. Of rows they are told, from the first of a transaction to
    -- the last: so the day gets one at either end, for a moment. The rows that it holds stay as they lie, which is in order.
    if exists (
        select 1 from timescaledb_information.continuous_aggregates as c
        where c.hypertable_schema = 'public' and c.hypertable_name = parent
    ) then
        execute format(
            'insert into %1$I select (jsonb_populate_record(null::%1$I, to_jsonb(t) || jsonb_build_object('
            '''sequence'', $1, ''event_time'', edge, ''available_at'', $3))).* '
            'from (select * from day_chunks.%2$I limit 1) as t cross join unnest(array[$2, $3]) as edge',
            parent, child
        ) using lowest_sequence, first_time, last_time;
        execute format('delete from %I where sequence = $1 and event_time in ($2, $3)', parent) using lowest_sequence, first_time, last_time;
    end if;
end;
$$;
comment on function attach_day_partition(text, date) is 'Indexes what was loaded into the table of begin_day_partition, and makes it the chunk of its day.';

revoke execute on function
ensure_day_partition(text, date), begin_day_partition(text, date), attach_day_partition(text, date)
from public;
grant execute on function
ensure_day_partition(text, date), begin_day_partition(text, date), attach_day_partition(text, date)
to rrr_writer;
