-- Bars of one instrument by one rule that start in a window, as the contract has them. What is not cut again yet since the trades or the
-- rules of its day changed does not call itself complete.
with behind as (
    select d.day
    from invalidation_days as d
    left join bar_sources as s on d.instrument = s.instrument
    left join invalidations_applied as a
        on d.relation = a.relation and d.instrument = a.instrument and d.day = a.day and a.consumer = %(consumer)s
    where
        d.instrument = %(instrument)s and d.relation in (coalesce(s.relation, 'raw_trades'), %(rules)s)
        and d.day >= (%(since)s::timestamptz at time zone 'UTC')::date and d.day <= (%(until)s::timestamptz at time zone 'UTC')::date
        and d.last_id > coalesce(a.applied_through, 0)
)

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
    is_complete and day not in (select b.day from behind as b) as is_complete,
    known_at
from {bars}
where
    {is_here} and instrument = %(instrument)s and rule = %(rule)s and bar_start >= %(since)s and bar_start < %(until)s
    and day >= (%(since)s::timestamptz at time zone 'UTC')::date and day <= (%(until)s::timestamptz at time zone 'UTC')::date
order by day, bar_index;
