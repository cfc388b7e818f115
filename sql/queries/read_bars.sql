-- Our bars of one instrument and interval, as the contract has them.
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
from {bars}
where {is_here} and instrument = %(instrument)s and bar_start >= %(since)s and bar_start < %(until)s
order by bar_start;
