-- The days on which a consumer lags behind what it follows, oldest first, with the last entry of the log. Days that changed just
-- now are left out: a run may be under way for them.
select
    l.day,
    max(l.invalidation_id) as last_id
from invalidation_log as l
left join invalidations_applied as a
    on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
where l.relation = any(%(relations)s) and l.invalidation_id > coalesce(a.applied_through, 0)
group by l.day
having max(l.logged_at) < clock_timestamp() - %(settled_for)s::interval
order by l.day
limit %(most)s;
