-- Bars of one instrument by one rule that start in a window, as the contract has them.
select
    instrument,
    day,
    rule,
    bar_index,
    bar_start,
    bar_end,
    threshold,
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
    is_full,
    is_complete,
    known_at
from {bars}
where
    instrument = %(instrument)s and rule = %(rule)s and bar_start >= %(since)s and bar_start < %(until)s
    and day >= (%(since)s::timestamptz at time zone 'UTC')::date and day <= (%(until)s::timestamptz at time zone 'UTC')::date
order by day, bar_index;
