-- Computes the longer bars of one instrument inside a window from the shorter ones: equal to those straight from trades.
-- Where trades changed and the shorter bars do not show it yet, the longer ones are not complete, whatever coverage says by now.
insert into fresh_bars (
    instrument, bar_start, open, high, low, close, volume, quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume,
    first_sequence, last_sequence, is_complete
)
with waiting as (
    -- Each window of the grid once: a storm of changes is no more than the windows of a day.
    select range_agg(tstzrange(touched.window_start, touched.window_end)) as windows
    from (
        select distinct
            date_bin(%(grid)s::interval, l.from_time, timestamptz '2000-01-01 00:00:00+00') as window_start,
            date_bin(%(grid)s::interval, l.to_time - interval '1 microsecond', timestamptz '2000-01-01 00:00:00+00')
            + %(grid)s::interval as window_end
        from invalidation_log as l
        where
            l.relation = 'raw_' || %(stream)s and l.instrument = %(instrument)s and l.day = %(day)s
            and l.invalidation_id > coalesce((
                select a.applied_through from invalidations_applied as a
                where a.consumer = %(source)s and a.relation = 'raw_' || %(stream)s and a.instrument = %(instrument)s and a.day = %(day)s
            ), 0)
    ) as touched
),

tape as (
    select c.covered + c.accepted - coalesce(waiting.windows, '{{}}'::tstzmultirange) as whole
    from coverage as c
    cross join waiting
    where c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = %(day)s
),

shorter as (
    select s.*, date_bin(%(grid)s::interval, s.bar_start, timestamptz '2000-01-01 00:00:00+00') as longer_start
    from {source} as s
    where s.instrument = %(instrument)s and s.bar_start >= %(from_time)s and s.bar_start < %(to_time)s
)

select
    s.instrument,
    s.longer_start,
    (array_agg(s.open order by s.bar_start))[1],
    max(s.high),
    min(s.low),
    (array_agg(s.close order by s.bar_start))[count(*)],
    trim_scale(sum(s.volume)),
    trim_scale(sum(s.quote_volume)),
    sum(s.trade_count)::bigint,
    trim_scale(sum(s.taker_buy_volume)),
    trim_scale(sum(s.taker_buy_quote_volume)),
    (array_agg(s.first_sequence order by s.bar_start))[1],
    (array_agg(s.last_sequence order by s.bar_start))[count(*)],
    coalesce((select tape.whole from tape) @> tstzrange(s.longer_start, s.longer_start + %(grid)s::interval), false)
from shorter as s
group by s.instrument, s.longer_start;
