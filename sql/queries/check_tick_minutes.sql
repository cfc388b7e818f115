-- A day of minutes of ticks, rule by rule: (rule, is_blocking, broken, looked at, examples).
with bars as (
    select
        b.instrument,
        b.bar_start,
        m.bar_start is not null as has_minute
    from bars_1m as b
    left join tick_minutes as m on b.instrument = m.instrument and b.bar_start = m.bar_start
    where b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
)

select
    'every bar has its minute of ticks' as rule,
    false as is_blocking,
    count(*) filter (where not b.has_minute) as broken,
    count(*) as looked_at,
    coalesce((array_agg(b.instrument || ' ' || b.bar_start order by b.bar_start) filter (where not b.has_minute))[:5], '{}') as examples
from bars as b;
