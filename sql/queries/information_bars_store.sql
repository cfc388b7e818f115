-- Stores the bars of one instrument and day that were made elsewhere, complete by what the coverage says of the tape of its trades; answers
-- the time that each spans.
insert into {target} (
    instrument, day, rule, bar_index, bar_start, bar_end, threshold, open, high, low, close, volume, quote_volume, vwap,
    trade_count, taker_buy_volume, taker_buy_quote_volume, first_sequence, last_sequence, is_full, is_complete, known_at
)
with tape as (
    select c.covered + c.accepted as whole from coverage as c
    where c.instrument = %(instrument)s and c.stream = 'trades' and c.day = %(day)s
)

select
    %(instrument)s,
    %(day)s,
    f.rule,
    f.bar_index,
    f.bar_start,
    f.bar_end,
    f.threshold,
    f.open,
    f.high,
    f.low,
    f.close,
    f.volume,
    f.quote_volume,
    exact_vwap(f.quote_volume, f.volume),
    f.trade_count,
    f.taker_buy_volume,
    f.taker_buy_quote_volume,
    f.first_sequence,
    f.last_sequence,
    f.is_full,
    -- A hole anywhere before moves every cut after it, and a short bar may have trades to come until midnight.
    coalesce(
        (select tape.whole from tape)
        @> case when f.is_full then tstzrange(%(from_time)s, f.bar_end, '[]') else tstzrange(%(from_time)s, %(to_time)s) end,
        false
    ),
    %(known_at)s
from fresh_information_bars as f
returning bar_start, bar_end;
