-- The venue's own bars of one instrument and interval, as published.
select
    instrument,
    interval,
    bar_start,
    open,
    high,
    low,
    close,
    volume,
    quote_volume,
    vwap,
    trade_count,
    taker_buy_volume,
    taker_buy_quote_volume,
    is_closed,
    known_at,
    batch_id
from venue_bars
where {is_here} and instrument = %(instrument)s and interval = %(interval)s and bar_start >= %(since)s and bar_start < %(until)s
order by bar_start;
