-- The 1-minute bars that are stored of a day, in the order of the archive.
select
    b.instrument,
    b.bar_start,
    b.open,
    b.high,
    b.low,
    b.close,
    b.volume,
    b.quote_volume,
    b.vwap,
    b.trade_count,
    b.taker_buy_volume,
    b.taker_buy_quote_volume,
    b.first_sequence,
    b.last_sequence
from bars_1m as b
where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
order by b.instrument, b.bar_start;
