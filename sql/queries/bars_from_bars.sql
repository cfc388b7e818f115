-- Computes the longer bars of one instrument inside a window from the shorter ones: equal to those straight from trades.
insert into fresh_bars (
    instrument, bar_start, open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume,
    first_sequence, last_sequence
)
select
    s.instrument,
    date_bin(%(grid)s::interval, s.bar_start, timestamptz '2000-01-01 00:00:00+00'),
    (array_agg(s.open order by s.bar_start))[1],
    max(s.high),
    min(s.low),
    (array_agg(s.close order by s.bar_start desc))[1],
    trim_scale(sum(s.volume)),
    trim_scale(sum(s.quote_volume)),
    sum(s.trade_count)::bigint,
    trim_scale(sum(s.taker_buy_volume)),
    trim_scale(sum(s.taker_buy_quote_volume)),
    (array_agg(s.first_sequence order by s.bar_start))[1],
    (array_agg(s.last_sequence order by s.bar_start desc))[1]
from {source} as s
where s.instrument = %(instrument)s and s.bar_start >= %(from_time)s and s.bar_start < %(to_time)s
group by s.instrument, date_bin(%(grid)s::interval, s.bar_start, timestamptz '2000-01-01 00:00:00+00');
