-- Our bars of one instrument and interval, as the contract has them, as a reader would have got them at a time.
select
    instrument,
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
    first_sequence,
    last_sequence,
    is_complete,
    known_at
from bars_as_known(%(interval)s, %(instrument)s, %(since)s, %(until)s, %(as_known_at)s)
where {is_here}
order by bar_start;
