-- Features, what was believed of them, and the minutes of ticks may leave the database, as other archived tables.

create or replace function archived_relations() returns table (relation text, time_column text, follows text[])
language sql
immutable
set search_path = public, pg_temp
as $$
    values
    ('raw_trades', 'event_time', '{raw_trades}'::text[]),
    ('trade_revisions', 'event_time', '{raw_trades}'),
    ('raw_agg_trades', 'event_time', '{raw_agg_trades}'),
    ('agg_trade_revisions', 'event_time', '{raw_agg_trades}'),
    ('raw_quotes', 'event_time', '{raw_quotes}'),
    ('quote_revisions', 'event_time', '{raw_quotes}'),
    ('raw_depth', 'event_time', '{raw_depth}'),
    ('depth_revisions', 'event_time', '{raw_depth}'),
    ('bars_1m', 'bar_start', '{bars_1m}'),
    ('bars_5m', 'bar_start', '{bars_5m}'),
    ('bars_1h', 'bar_start', '{bars_1h}'),
    ('bars_1d', 'bar_start', '{bars_1d}'),
    ('bar_revisions', 'bar_start', '{bars_1m,bars_5m,bars_1h,bars_1d}'),
    ('venue_bars', 'bar_start', '{venue_bars}'),
    ('bars_tick', 'bar_start', '{bars_tick}'),
    ('bars_volume', 'bar_start', '{bars_volume}'),
    ('bars_dollar', 'bar_start', '{bars_dollar}'),
    ('tick_minutes', 'bar_start', '{tick_minutes}'),
    ('features_1m', 'event_time', '{features_1m}'),
    ('feature_revisions_1m', 'event_time', '{features_1m}'),
    ('market_sentiment', 'event_time', '{}'),
    ('orders', 'event_time', '{}')
$$;
