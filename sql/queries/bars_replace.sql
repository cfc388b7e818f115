-- Brings the bars of one instrument inside a window in step with the recomputed ones; bars that are right already are not
-- touched. Answers the bars that changed.
with gone as (
    delete from {target} as b
    where
        b.instrument = %(instrument)s and b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
        and not exists (select 1 from fresh_bars as f where f.bar_start = b.bar_start)
    returning b.bar_start
),

written as (
    insert into {target} (
        instrument, bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, taker_buy_volume,
        taker_buy_quote_volume, first_sequence, last_sequence, is_complete, known_at
    )
    select
        f.instrument, f.bar_start, trim_scale(f.open), trim_scale(f.high), trim_scale(f.low), trim_scale(f.close), f.volume, f.quote_volume,
        exact_vwap(f.quote_volume, f.volume), f.trade_count, f.taker_buy_volume, f.taker_buy_quote_volume,
        f.first_sequence, f.last_sequence, f.is_complete, %(known_at)s
    from fresh_bars as f
    where f.instrument = %(instrument)s
    on conflict (instrument, bar_start) do update
        set
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
            quote_volume = excluded.quote_volume, vwap = excluded.vwap, trade_count = excluded.trade_count,
            taker_buy_volume = excluded.taker_buy_volume, taker_buy_quote_volume = excluded.taker_buy_quote_volume,
            first_sequence = excluded.first_sequence, last_sequence = excluded.last_sequence, is_complete = excluded.is_complete,
            known_at = excluded.known_at
        where
        (
            {target}.open, {target}.high, {target}.low, {target}.close, {target}.volume, {target}.quote_volume, {target}.vwap,
            {target}.trade_count, {target}.taker_buy_volume, {target}.taker_buy_quote_volume,
            {target}.first_sequence, {target}.last_sequence, {target}.is_complete
        ) is distinct from (
            excluded.open, excluded.high, excluded.low, excluded.close, excluded.volume, excluded.quote_volume, excluded.vwap,
            excluded.trade_count, excluded.taker_buy_volume, excluded.taker_buy_quote_volume,
            excluded.first_sequence, excluded.last_sequence, excluded.is_complete
        )
    returning bar_start
)

select bar_start from gone
union all
select bar_start from written
order by bar_start;
