-- The bars of which a value differs between what was known at two times: since when each side was known, then its values (before,
-- after), as the contract has them.
select
    coalesce(b.bar_start, a.bar_start) as bar_start,
    b.known_at as known_before,
    a.known_at as known_after,
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
    b.last_sequence,
    b.is_complete,
    b.known_at,
    a.open,
    a.high,
    a.low,
    a.close,
    a.volume,
    a.quote_volume,
    a.vwap,
    a.trade_count,
    a.taker_buy_volume,
    a.taker_buy_quote_volume,
    a.first_sequence,
    a.last_sequence,
    a.is_complete,
    a.known_at
from bars_as_known(%(interval)s, %(instrument)s, %(since)s, %(until)s, %(as_known_at)s) as b
full outer join bars_as_known(%(interval)s, %(instrument)s, %(since)s, %(until)s, %(and_at)s) as a on b.bar_start = a.bar_start
where
    (
        b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.vwap, b.trade_count, b.taker_buy_volume,
        b.taker_buy_quote_volume, b.first_sequence, b.last_sequence, b.is_complete
    ) is distinct from (
        a.open, a.high, a.low, a.close, a.volume, a.quote_volume, a.vwap, a.trade_count, a.taker_buy_volume,
        a.taker_buy_quote_volume, a.first_sequence, a.last_sequence, a.is_complete
    )
order by bar_start;
