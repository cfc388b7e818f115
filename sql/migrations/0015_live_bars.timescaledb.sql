-- The last seconds: bars over the hot window that hold every trade as soon as it is stored, as a cascade of continuous aggregates.
-- What is refreshed already is read, the rest is computed when it is asked for. Nothing is made from them: the bars are tables, and
-- a check holds these to them. The refreshes below are the only jobs in this database that run by themselves.

-- A continuous aggregate may not look into trade_conditions, and what it has stored would not change with it. So its rules stand
-- here too, and a check compares the two: whoever changes one changes the other, and refreshes the live bars.
create function counts_in_live_bars(instrument text, conditions text[]) returns boolean
language sql immutable parallel safe
return conditions is null or not (
    split_part(instrument, ':', 1) in ('binance-usdm', 'binance-coinm') and conditions && array['insurance_fund', 'adl']
);
comment on function counts_in_live_bars(text, text[]) is 'Whether a trade with these remarks counts in live bars: what trade_conditions says.';

-- first() and last() take one value to order by, and by the time alone they pick any of equal times. Bytes are compared from the
-- left, and these numbers are written with their highest byte first. The sign of the sequence goes before it; the time has none from
-- the year 2000 on.
create function trade_order(event_time timestamptz, sequence bigint) returns bytea
language sql immutable parallel safe
return timestamptz_send(event_time) || case when sequence < 0 then bytea '\x00' else bytea '\x01' end || int8send(sequence);
comment on function trade_order(timestamptz, bigint) is 'Orders trades by (event_time, sequence) as one value.';

create materialized view bars_live_1m with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    r.instrument,
    time_bucket(interval '1 minute', r.event_time) as bar_start,
    trim_scale(first(r.price, trade_order(r.event_time, r.sequence))) as open,
    trim_scale(max(r.price)) as high,
    trim_scale(min(r.price)) as low,
    trim_scale(last(r.price, trade_order(r.event_time, r.sequence))) as close,
    trim_scale(sum(r.size)) as volume,
    trim_scale(sum(r.price * r.size)) as quote_volume,
    exact_vwap(sum(r.price * r.size), sum(r.size)) as vwap,
    count(*) as trade_count,
    trim_scale(coalesce(sum(r.size) filter (where r.side = 'buy'), 0)) as taker_buy_volume,
    trim_scale(coalesce(sum(r.price * r.size) filter (where r.side = 'buy'), 0)) as taker_buy_quote_volume,
    first(r.sequence, trade_order(r.event_time, r.sequence)) as first_sequence,
    last(r.sequence, trade_order(r.event_time, r.sequence)) as last_sequence
from raw_trades as r
where counts_in_live_bars(r.instrument, r.conditions)
group by r.instrument, time_bucket(interval '1 minute', r.event_time)
with no data;
comment on view bars_live_1m is
'One row per instrument and 1m interval with trades of the hot window, the open interval too, as raw_trades stands at this moment.';
comment on column bars_live_1m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_live_1m.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_live_1m.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1m.high is 'Highest price. [quote asset]';
comment on column bars_live_1m.low is 'Lowest price. [quote asset]';
comment on column bars_live_1m.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1m.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_live_1m.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_live_1m.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_live_1m.trade_count is 'Number of trades. [trades]';
comment on column bars_live_1m.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_live_1m.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_live_1m.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_live_1m.last_sequence is 'Sequence of the trade that gave close.';
grant select on bars_live_1m to rrr_analyst, rrr_writer;

create materialized view bars_live_5m with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    s.instrument,
    time_bucket(interval '5 minutes', s.bar_start) as bar_start,
    first(s.open, s.bar_start) as open,
    max(s.high) as high,
    min(s.low) as low,
    last(s.close, s.bar_start) as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    first(s.first_sequence, s.bar_start) as first_sequence,
    last(s.last_sequence, s.bar_start) as last_sequence
from bars_live_1m as s
group by s.instrument, time_bucket(interval '5 minutes', s.bar_start)
with no data;
comment on view bars_live_5m is
'One row per instrument and 5m interval with trades of the hot window, the open interval too, as bars_live_1m stands at this moment.';
comment on column bars_live_5m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_live_5m.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_live_5m.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_live_5m.high is 'Highest price. [quote asset]';
comment on column bars_live_5m.low is 'Lowest price. [quote asset]';
comment on column bars_live_5m.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_live_5m.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_live_5m.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_live_5m.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_live_5m.trade_count is 'Number of trades. [trades]';
comment on column bars_live_5m.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_live_5m.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_live_5m.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_live_5m.last_sequence is 'Sequence of the trade that gave close.';
grant select on bars_live_5m to rrr_analyst, rrr_writer;

create materialized view bars_live_1h with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    s.instrument,
    time_bucket(interval '1 hour', s.bar_start) as bar_start,
    first(s.open, s.bar_start) as open,
    max(s.high) as high,
    min(s.low) as low,
    last(s.close, s.bar_start) as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    first(s.first_sequence, s.bar_start) as first_sequence,
    last(s.last_sequence, s.bar_start) as last_sequence
from bars_live_5m as s
group by s.instrument, time_bucket(interval '1 hour', s.bar_start)
with no data;
comment on view bars_live_1h is
'One row per instrument and 1h interval with trades of the hot window, the open interval too, as bars_live_5m stands at this moment.';
comment on column bars_live_1h.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_live_1h.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_live_1h.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1h.high is 'Highest price. [quote asset]';
comment on column bars_live_1h.low is 'Lowest price. [quote asset]';
comment on column bars_live_1h.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1h.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_live_1h.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_live_1h.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_live_1h.trade_count is 'Number of trades. [trades]';
comment on column bars_live_1h.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_live_1h.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_live_1h.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_live_1h.last_sequence is 'Sequence of the trade that gave close.';
grant select on bars_live_1h to rrr_analyst, rrr_writer;

create materialized view bars_live_1d with (timescaledb.continuous, timescaledb.materialized_only = false) as
select
    s.instrument,
    time_bucket(interval '1 day', s.bar_start) as bar_start,
    first(s.open, s.bar_start) as open,
    max(s.high) as high,
    min(s.low) as low,
    last(s.close, s.bar_start) as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    first(s.first_sequence, s.bar_start) as first_sequence,
    last(s.last_sequence, s.bar_start) as last_sequence
from bars_live_1h as s
group by s.instrument, time_bucket(interval '1 day', s.bar_start)
with no data;
comment on view bars_live_1d is
'One row per instrument and 1d interval with trades of the hot window, the open interval too, as bars_live_1h stands at this moment.';
comment on column bars_live_1d.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_live_1d.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_live_1d.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1d.high is 'Highest price. [quote asset]';
comment on column bars_live_1d.low is 'Lowest price. [quote asset]';
comment on column bars_live_1d.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_live_1d.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_live_1d.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_live_1d.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_live_1d.trade_count is 'Number of trades. [trades]';
comment on column bars_live_1d.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_live_1d.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_live_1d.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_live_1d.last_sequence is 'Sequence of the trade that gave close.';
grant select on bars_live_1d to rrr_analyst, rrr_writer;

-- The window is a day longer than the seven days that are promised, so that its first day is refreshed whole at every level. What
-- changes before it stays as it was when it left the window.
do $$
begin
    perform add_continuous_aggregate_policy(
        'bars_live_1m', start_offset => interval '8 days', end_offset => interval '1 minute', schedule_interval => interval '1 minute'
    );
    perform add_continuous_aggregate_policy(
        'bars_live_5m', start_offset => interval '8 days', end_offset => interval '5 minutes', schedule_interval => interval '5 minutes'
    );
    perform add_continuous_aggregate_policy(
        'bars_live_1h', start_offset => interval '8 days', end_offset => interval '1 hour', schedule_interval => interval '15 minutes'
    );
    perform add_continuous_aggregate_policy(
        'bars_live_1d', start_offset => interval '8 days', end_offset => interval '1 day', schedule_interval => interval '1 hour'
    );
end;
$$;
