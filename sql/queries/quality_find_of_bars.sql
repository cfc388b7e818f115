-- Per instrument of a day: bars that no rule of the venue explains, bars that are not complete, rows that wait in quarantine.
select
    'unexplained_bar' as rule,
    'bar_conformance' as relation,
    c.instrument,
    min(c.bar_start) filter (where c.status = 'unexplained') as from_time,
    max(
        c.bar_start + case c.interval when '1m' then interval '1 minute' when '5m' then '5 minutes' when '1h' then '1 hour' else '1 day' end
    )
    filter (where c.status = 'unexplained') as to_time,
    count(*) filter (where c.status = 'unexplained') as broken,
    count(*) as examined,
    (
        array_agg(c.interval || ' ' || c.bar_start || coalesce(': ' || array_to_string(c.fields, ', '), '') order by c.bar_start)
        filter (where c.status = 'unexplained')
    )[1:5] as examples
from bar_conformance as c
where
    c.bar_start >= %(from_time)s and c.bar_start < %(to_time)s
    and (%(instruments)s::text[] is null or c.instrument = any(%(instruments)s))
group by c.instrument
having count(*) filter (where c.status = 'unexplained') > 0
union all
select
    'incomplete_bars',
    'bars_1m',
    b.instrument,
    min(b.bar_start) filter (where not b.is_complete),
    max(b.bar_start) filter (where not b.is_complete) + interval '1 minute',
    count(*) filter (where not b.is_complete),
    count(*),
    null
from bars_1m as b
where
    b.bar_start >= %(from_time)s and b.bar_start < %(to_time)s
    and (%(instruments)s::text[] is null or b.instrument = any(%(instruments)s))
group by b.instrument
having count(*) filter (where not b.is_complete) > 0;
