-- The last seconds: bars over the hot window that hold every trade as soon as it is stored. Plain views, computed when they are
-- asked for. Nothing is made from them: the bars are tables, and a check holds these to them.

create view bars_live_1m as
select
    r.instrument,
    date_bin('1 minute', r.event_time, timestamptz '2000-01-01 00:00:00+00') as bar_start,
    trim_scale((array_agg(r.price order by r.event_time, r.sequence))[1]) as open,
    trim_scale(max(r.price)) as high,
    trim_scale(min(r.price)) as low,
    trim_scale((array_agg(r.price order by r.event_time, r.sequence))[count(*)]) as close,
    trim_scale(sum(r.size)) as volume,
    trim_scale(sum(r.price * r.size)) as quote_volume,
    exact_vwap(sum(r.price * r.size), sum(r.size)) as vwap,
    count(*) as trade_count,
    trim_scale(coalesce(sum(r.size) filter (where r.side = 'buy'), 0)) as taker_buy_volume,
    trim_scale(coalesce(sum(r.price * r.size) filter (where r.side = 'buy'), 0)) as taker_buy_quote_volume,
    (array_agg(r.sequence order by r.event_time, r.sequence))[1] as first_sequence,
    (array_agg(r.sequence order by r.event_time, r.sequence))[count(*)] as last_sequence
from raw_trades as r
where
    r.event_time >= date_trunc('day', now(), 'UTC') - interval '7 days'
    and (
        r.conditions is null
        or not exists (
            select 1 from trade_conditions as c
            where c.venue = split_part(r.instrument, ':', 1) and c.condition = any(r.conditions) and not c.counts
        )
    )
group by r.instrument, date_bin('1 minute', r.event_time, timestamptz '2000-01-01 00:00:00+00');
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

create view bars_live_5m as
select
    s.instrument,
    date_bin('5 minutes', s.bar_start, timestamptz '2000-01-01 00:00:00+00') as bar_start,
    (array_agg(s.open order by s.bar_start))[1] as open,
    max(s.high) as high,
    min(s.low) as low,
    (array_agg(s.close order by s.bar_start))[count(*)] as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    (array_agg(s.first_sequence order by s.bar_start))[1] as first_sequence,
    (array_agg(s.last_sequence order by s.bar_start))[count(*)] as last_sequence
from bars_live_1m as s
group by s.instrument, date_bin('5 minutes', s.bar_start, timestamptz '2000-01-01 00:00:00+00');
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

create view bars_live_1h as
select
    s.instrument,
    date_bin('1 hour', s.bar_start, timestamptz '2000-01-01 00:00:00+00') as bar_start,
    (array_agg(s.open order by s.bar_start))[1] as open,
    max(s.high) as high,
    min(s.low) as low,
    (array_agg(s.close order by s.bar_start))[count(*)] as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    (array_agg(s.first_sequence order by s.bar_start))[1] as first_sequence,
    (array_agg(s.last_sequence order by s.bar_start))[count(*)] as last_sequence
from bars_live_5m as s
group by s.instrument, date_bin('1 hour', s.bar_start, timestamptz '2000-01-01 00:00:00+00');
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

create view bars_live_1d as
select
    s.instrument,
    date_bin('1 day', s.bar_start, timestamptz '2000-01-01 00:00:00+00') as bar_start,
    (array_agg(s.open order by s.bar_start))[1] as open,
    max(s.high) as high,
    min(s.low) as low,
    (array_agg(s.close order by s.bar_start))[count(*)] as close,
    trim_scale(sum(s.volume)) as volume,
    trim_scale(sum(s.quote_volume)) as quote_volume,
    exact_vwap(sum(s.quote_volume), sum(s.volume)) as vwap,
    sum(s.trade_count)::bigint as trade_count,
    trim_scale(sum(s.taker_buy_volume)) as taker_buy_volume,
    trim_scale(sum(s.taker_buy_quote_volume)) as taker_buy_quote_volume,
    (array_agg(s.first_sequence order by s.bar_start))[1] as first_sequence,
    (array_agg(s.last_sequence order by s.bar_start))[count(*)] as last_sequence
from bars_live_1h as s
group by s.instrument, date_bin('1 day', s.bar_start, timestamptz '2000-01-01 00:00:00+00');
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
