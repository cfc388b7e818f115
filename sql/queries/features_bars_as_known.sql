-- The 1-minute bars of some instruments as they were believed at a time, with what labels are made of.
select
    b.instrument,
    b.bar_start,
    b.open,
    b.high,
    b.low,
    b.close,
    b.volume,
    b.quote_volume,
    b.trade_count,
    b.taker_buy_volume,
    b.taker_buy_quote_volume,
    b.known_at
from unnest(%(instruments)s::text[]) as asked (instrument)
cross join lateral bars_as_known('1m', asked.instrument, %(since)s, %(until)s, %(as_known_at)s) as b
order by b.instrument, b.bar_start;
