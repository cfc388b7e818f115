-- The days on which a consumer has something to refresh, oldest first.
select
    l.day,
    count(*) as entries,
    count(distinct l.instrument) as instruments,
    max(l.invalidation_id) as last_id
from invalidation_log as l
left join invalidations_applied as a
    on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
where l.relation = any(%(relations)s) and l.invalidation_id > coalesce(a.applied_through, 0)
group by l.day
order by l.day
limit %(most)s;
