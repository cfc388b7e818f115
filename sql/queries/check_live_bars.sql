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
    select b.* from {bars} as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
),

live as (
    select b.* from {live} as b where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
),

both_sides as (
    select
        coalesce(k.instrument, v.instrument) as instrument,
        coalesce(k.bar_start, v.bar_start) as bar_start,
        case
            when
                (
                    k.bar_start, k.open, k.high, k.low, k.close, k.volume, k.quote_volume, k.vwap, k.trade_count, k.taker_buy_volume,
                    k.taker_buy_quote_volume, k.first_sequence, k.last_sequence
                ) is distinct from (
                    v.bar_start, v.open, v.high, v.low, v.close, v.volume, v.quote_volume, v.vwap, v.trade_count, v.taker_buy_volume,
                    v.taker_buy_quote_volume, v.first_sequence, v.last_sequence
                )
                then true
            else false
        end as is_different
    from kept as k
    full outer join live as v on k.instrument = v.instrument and k.bar_start = v.bar_start
),

compared as (
    select b.*
    from both_sides as b
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
