-- What changed since the quality of the data was last looked at: per day and instrument the last entry of the log for each relation, and
-- between which times it changed, where that is asked for and not too many entries wait: else the day is looked at whole. Bars wait until
-- the verdicts on them are there. Days of which the ticks lie in the archive alone are left to those who ask for them.
select
    d.day,
    d.instrument,
    d.relation,
    d.last_id,
    w.from_time,
    w.to_time
from invalidation_days as d
left join invalidations_applied as a
    on a.consumer = %(consumer)s and d.relation = a.relation and d.instrument = a.instrument and d.day = a.day
left join invalidations_applied as v
    on v.consumer = %(verdicts)s and d.relation = v.relation and d.instrument = v.instrument and d.day = v.day
left join lateral (
    select
        min(e.from_time) as from_time,
        max(e.to_time) as to_time
    from (
        select
            l.from_time,
            l.to_time
        from invalidation_log as l
        where
            l.relation = d.relation and l.day = d.day and l.instrument = d.instrument
            and l.invalidation_id > coalesce(a.applied_through, 0) and l.invalidation_id <= d.last_id
        order by l.invalidation_id
        limit %(most)s + 1
    ) as e
    having count(*) <= %(most)s
) as w on %(with_windows)s
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
