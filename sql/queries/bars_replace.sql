-- Brings the bars of one instrument inside a window in step with the recomputed ones, and keeps what was believed of those that
-- change; bars that are right already are not touched. Answers the bars that changed.
with changed as (
    select
        b.*,
        f.bar_start is null as is_gone
    from {target} as b
    left join fresh_bars as f on b.instrument = f.instrument and b.bar_start = f.bar_start
    where
        b.instrument = %(instrument)s and b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
        and (
            f.bar_start is null
            or (
                b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.vwap, b.trade_count, b.taker_buy_volume,
                b.taker_buy_quote_volume, b.first_sequence, b.last_sequence, b.is_complete
            ) is distinct from (
                f.open, f.high, f.low, f.close, f.volume, f.quote_volume, exact_vwap(f.quote_volume, f.volume), f.trade_count,
                f.taker_buy_volume, f.taker_buy_quote_volume, f.first_sequence, f.last_sequence, f.is_complete
            )
        )
),

kept as (
    insert into bar_revisions (
        interval, instrument, bar_start, open, high, low, close, volume, quote_volume, vwap, trade_count, taker_buy_volume,
        taker_buy_quote_volume, first_sequence, last_sequence, is_complete, known_at, believed_until
    )
    select
        %(interval)s, c.instrument, c.bar_start, c.open, c.high, c.low, c.close, c.volume, c.quote_volume, c.vwap, c.trade_count,
        c.taker_buy_volume, c.taker_buy_quote_volume, c.first_sequence, c.last_sequence, c.is_complete, c.known_at, %(known_at)s
    from changed as c
),

gone as (
    delete from {target} as b
    using changed as c
    where c.is_gone and b.instrument = c.instrument and b.bar_start = c.bar_start
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
    where
        f.instrument = %(instrument)s and f.bar_start >= %(from_time)s and f.bar_start < %(to_time)s
        and (
            exists (select 1 from changed as c where c.bar_start = f.bar_start)
            or not exists (select 1 from {target} as b where b.instrument = f.instrument and b.bar_start = f.bar_start)
        )
    on conflict (instrument, bar_start) do update
        set
            open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume,
            quote_volume = excluded.quote_volume, vwap = excluded.vwap, trade_count = excluded.trade_count,
            taker_buy_volume = excluded.taker_buy_volume, taker_buy_quote_volume = excluded.taker_buy_quote_volume,
            first_sequence = excluded.first_sequence, last_sequence = excluded.last_sequence, is_complete = excluded.is_complete,
            known_at = excluded.known_at
    returning bar_start
)

select bar_start from gone
union all
select bar_start from written
order by bar_start;
