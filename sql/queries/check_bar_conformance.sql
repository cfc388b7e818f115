-- The rules of a day of verdicts.
select rule, is_blocking, broken::bigint, looked_at::bigint, examples
from (
    select
        'every venue bar of our intervals has a verdict' as rule,
        true as is_blocking,
        count(*) filter (where c.instrument is null) as broken,
        count(*) as looked_at,
        '{}'::text[] as examples
    from venue_bars as v
    left join bar_conformance as c on v.instrument = c.instrument and v.interval = c.interval and v.bar_start = c.bar_start
    where v.interval in ('1m', '5m', '1h', '1d') and v.bar_start >= %(from_time)s and v.bar_start < %(to_time)s
    union all
    select
        'no bar is unexplained',
        false,
        count(*) filter (where c.status = 'unexplained'),
        count(*),
        coalesce(
            (
                array_agg(format('%%s %%s %%s', c.instrument, c.interval, c.bar_start) order by c.bar_start)
                filter (where c.status = 'unexplained')
            )[1:5],
            '{}'
        )
    from bar_conformance as c
    where c.bar_start >= %(from_time)s and c.bar_start < %(to_time)s
) as rules;
