-- Stores new bars, and the final values of bars that were captured while still open.
insert into venue_bars (
    instrument, interval, bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, taker_buy_volume,
    taker_buy_quote_volume, is_closed, known_at, batch_id
)
select
    j.instrument,
    j.interval,
    j.bar_start,
    trim_scale(j.open),
    trim_scale(j.high),
    trim_scale(j.low),
    trim_scale(j.close),
    trim_scale(j.volume),
    trim_scale(j.quote_volume), trim_scale(j.vwap), j.trade_count, trim_scale(j.taker_buy_volume), trim_scale(j.taker_buy_quote_volume),
    j.is_closed, %(known_at)s, %(batch_id)s
from judged_bars as j
where j.verdict in ('new', 'closed')
on conflict (instrument, interval, bar_start) do update
    set
        open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
        quote_volume = excluded.quote_volume, vwap = excluded.vwap, trade_count = excluded.trade_count,
        taker_buy_volume = excluded.taker_buy_volume, taker_buy_quote_volume = excluded.taker_buy_quote_volume,
        is_closed = excluded.is_closed, known_at = excluded.known_at, batch_id = excluded.batch_id;
