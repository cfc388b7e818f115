-- Means of the shares of the days that are over, of each instrument, each venue and all together.
select
    coalesce(q.instrument, split_part(q.venue, ':', 1) || ':*', '*') as scope,
    m.metric,
    count(m.share) as days,
    avg(m.share) as mean
from (
    select
        d.*,
        split_part(d.instrument, ':', 1) as venue
    from quality_days as d
    where d.status <> 'pending' and d.day >= %(from_day)s and d.day < %(until_day)s
) as q
cross join
    lateral (
        values
        (1, 'completeness', q.completeness), (2, 'validity', q.validity), (3, 'conformance', q.conformance), (4, 'freshness', q.freshness),
        (5, 'availability', (q.status = 'available')::int::double precision)
    ) as m (place, metric, share)
group by grouping sets ((m.place, m.metric, q.instrument), (m.place, m.metric, q.venue), (m.place, m.metric))
having count(m.share) > 0
order by grouping(q.instrument), grouping(q.venue), 1, m.place;
