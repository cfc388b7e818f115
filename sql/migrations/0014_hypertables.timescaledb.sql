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

-- Again, for a database that was moved over from plain PostgreSQL and has its functions.
create or replace function ensure_day_partition(parent text, day date) returns text
language plpgsql
as $$
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    return parent;
end;
$$;
comment on function ensure_day_partition(text, date) is 'Names where a day''s rows go: the table itself, which makes its chunks as rows come.';

create or replace function begin_day_partition(parent text, day date) returns text
language sql
begin atomic
    select null::text;
end;
comment on function begin_day_partition(text, date) is 'Null: there is nothing to fill beside the table, its chunks are made as rows come.';

create or replace function attach_day_partition(parent text, day date) returns void
language plpgsql
as $$
begin
    raise exception 'there is nothing to attach to %: its chunks are made as rows come', parent;
end;
$$;
comment on function attach_day_partition(text, date) is 'Refuses: begin_day_partition has made nothing that could be attached.';
