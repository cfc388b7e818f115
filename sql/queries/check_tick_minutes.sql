-- A day of minutes of ticks, rule by rule: (rule, is_blocking, broken, looked at, examples).
with bars as (
    select
        b.instrument,
        b.bar_start,
        exists (
            select 1 from tick_minutes as m where m.instrument = b.instrument and m.bar_start = b.bar_start
        ) as has_minute
    from bars_1m as b
    where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
)

select
    'every bar has its minute of ticks' as rule,
    false as is_blocking,
    count(*) filter (where not b.has_minute) as broken,
    count(*) as looked_at,
    coalesce((array_agg(b.instrument || ' ' || b.bar_start order by b.bar_start) filter (where not b.has_minute))[:5], '{}') as examples
from bars as b;
