-- What changed since the quality of the data was last looked at: per day and instrument the last entry of the log for each relation. Bars
-- wait until the verdicts on them are there. Days of which the ticks lie in the archive alone are left to those who ask for them.
select
    d.day,
    d.instrument,
    d.relation,
    d.last_id
from invalidation_days as d
left join invalidations_applied as a
    on a.consumer = %(consumer)s and d.relation = a.relation and d.instrument = a.instrument and d.day = a.day
left join invalidations_applied as v
    on v.consumer = %(verdicts)s and d.relation = v.relation and d.instrument = v.instrument and d.day = v.day
where
    d.relation = any(%(relations)s)
    and d.last_id > coalesce(a.applied_through, 0)
    and (%(since)s::timestamptz is null or d.last_logged_at > %(since)s)
    and (d.relation not like 'bars\_%%' or v.applied_through >= d.last_id)
    and (
        %(with_cold)s
        or not exists (
            select 1 from partition_tiers as t
            where t.relation = d.relation and t.partition_start = d.day and t.tier in ('cold', 'deleted')
        )
    )
order by d.day desc, d.instrument asc;
