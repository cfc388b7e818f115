-- One instrument's 1-minute bars inside a window as they stand, but complete by what the coverage says now: of a day whose ticks are not
-- in the database, that is all that may change.
insert into fresh_bars (
    instrument, bar_start, open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume,
    first_sequence, last_sequence, is_complete
)
with tape as (
    select c.covered + c.accepted as whole from coverage as c
    where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = %(day)s
)

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
    b.first_sequence,
    b.last_sequence,
    coalesce((select tape.whole from tape) @> tstzrange(b.bar_start, b.bar_start + interval '1 minute'), false)
from bars_1m as b
where b.instrument = %(instrument)s and b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s;
