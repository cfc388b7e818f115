-- A day of features, rule by rule: (rule, is_blocking, broken, looked at, examples).
with bars as (
    select
        b.instrument,
        b.bar_start,
        f.event_time is not null as has_row
    from bars_1m as b
    left join features_1m as f on b.instrument = f.instrument and f.event_time = b.bar_start + interval '1 minute'
    where
        b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
        -- What is in the archive alone is nothing that is missing.
        and not exists (
            select 1 from partition_tiers as t
            where
                t.relation = 'features_1m' and t.tier in ('cold', 'deleted')
                and t.partition_start = ((b.bar_start + interval '1 minute') at time zone 'UTC')::date
        )
)

select
    'every bar has its row of features' as rule,
    false as is_blocking,
    count(*) filter (where not b.has_row) as broken,
    count(*) as looked_at,
    coalesce((array_agg(b.instrument || ' ' || b.bar_start order by b.bar_start) filter (where not b.has_row))[:5], '{}') as examples
from bars as b;
