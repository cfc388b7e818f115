-- The days on which a consumer lags behind what it follows, oldest first, with the last entry of the log. Days that changed just
-- now are left out: a run may be under way for them. So are trades that change after retention dropped the others of their day:
-- they wait for the others, and would stand in the way of younger days for ever.
select
    l.day,
    max(l.invalidation_id) as last_id
from invalidation_log as l
left join invalidations_applied as a
    on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
where
    l.relation = any(%(relations)s) and l.invalidation_id > coalesce(a.applied_through, 0)
    and not (
        l.relation = 'raw_trades'
        and exists (
            select 1 from coverage as c
            where c.instrument = l.instrument and c.stream = 'trades' and c.day = l.day and c.is_dropped
        )
    )
group by l.day
having max(l.logged_at) < clock_timestamp() - %(settled_for)s::interval
order by l.day
limit %(most)s;
