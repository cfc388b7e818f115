-- Days of which quotes changed since their windows were made, but for those whose quotes are in the archive alone.
select d.day, array_agg(d.instrument order by d.instrument) as instruments
from invalidation_days as d
left join invalidations_applied as a
    on d.relation = a.relation and d.instrument = a.instrument and d.day = a.day and a.consumer = 'quote_windows'
where
    d.relation = 'raw_quotes' and d.last_id > coalesce(a.applied_through, 0)
    and not exists (
        select 1 from coverage as c where c.instrument = d.instrument and c.stream = 'quotes' and c.day = d.day and c.is_dropped
    )
group by d.day
order by d.day;
