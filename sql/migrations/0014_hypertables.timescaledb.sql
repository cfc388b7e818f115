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
