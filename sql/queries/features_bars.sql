-- The 1-minute bars of some instruments, with what features are made of.
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
    b.taker_buy_quote_volume
from bars_1m as b
where b.instrument = any(%(instruments)s) and b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
order by b.instrument, b.bar_start;
