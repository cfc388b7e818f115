-- The live bars of one interval held against the table: the closed bars of the hot window, but for those of which trades changed
-- too lately for both to show it.
with unsettled as (
    select
        l.instrument,
        range_agg(tstzrange(l.from_time, l.to_time)) as windows
    from invalidation_log as l
    where
        l.relation = any(%(relations)s) and l.day >= %(from_day)s
        and (
            l.logged_at > %(at)s - %(settled_for)s
            or l.invalidation_id > coalesce((
                select a.applied_through from invalidations_applied as a
                where a.consumer = %(consumer)s and a.relation = l.relation and a.instrument = l.instrument and a.day = l.day
            ), 0)
        )
    group by l.instrument
),

kept as (
    select
        b.instrument, b.bar_start, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.vwap, b.trade_count,
        b.taker_buy_volume, b.taker_buy_quote_volume, b.first_sequence, b.last_sequence
    from {bars} as b
    where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
),

live as (
    select
        b.instrument, b.bar_start, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.vwap, b.trade_count,
        b.taker_buy_volume, b.taker_buy_quote_volume, b.first_sequence, b.last_sequence
    from {live} as b
    where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
),

apart as (
    select d.instrument, d.bar_start
    from (
        (
            select * from kept
            except
            select * from live
        )
        union all
        (
            select * from live
            except
            select * from kept
        )
    ) as d
),

listed as (
    select k.instrument, k.bar_start from kept as k
    union
    select v.instrument, v.bar_start from live as v
),

compared as (
    select
        b.instrument,
        b.bar_start,
        (b.instrument, b.bar_start) in (select a.instrument, a.bar_start from apart as a) as is_different
    from listed as b
    where
        not exists (select 1 from instruments as i where i.instrument = b.instrument and i.valid_to is null and i.bars_stream <> 'trades')
        and not exists (
            select 1 from unsettled as u
            where u.instrument = b.instrument and u.windows && tstzrange(b.bar_start, b.bar_start + %(grid)s::interval)
        )
)

select
    'live bars equal the bars' as rule,
    false as is_blocking,
    count(*) filter (where c.is_different) as broken,
    count(*) as looked_at,
    coalesce((array_agg(c.instrument || ' ' || c.bar_start order by c.bar_start) filter (where c.is_different))[1:5], '{{}}') as examples
from compared as c;
