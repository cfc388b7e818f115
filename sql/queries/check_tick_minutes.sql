-- A day of minutes of ticks, rule by rule: (rule, is_blocking, broken, looked at, examples).
with bars as (
    select
        b.instrument,
        b.bar_start,
        m.bar_start is not null as has_minute
    from bars_1m as b
    left join tick_minutes as m on b.instrument = m.instrument and b.bar_start = m.bar_start
    where
        b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
        -- What is in the archive alone is nothing that is missing.
        and not exists (
            select 1 from partition_tiers as t
            where
                t.relation = 'tick_minutes' and t.tier in ('cold', 'deleted')
                and t.partition_start = (b.bar_start at time zone 'UTC')::date
        )
)

select
    'every bar has its minute of ticks' as rule,
    false as is_blocking,
    count(*) filter (where not b.has_minute) as broken,
    count(*) as looked_at,
    coalesce((array_agg(b.instrument || ' ' || b.bar_start order by b.bar_start) filter (where not b.has_minute))[:5], '{}') as examples
from bars as b;
