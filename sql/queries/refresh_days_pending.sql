-- The days on which a consumer lags behind what it follows, oldest first, with the last entry of the log. Days that changed just
-- now are left out: a run may be under way for them. So are ticks that change after retention dropped the others of their day: they
-- wait for the others, and would stand in the way of younger days for ever; and so do rules that were declared for such a day. Of ticks,
-- those count that bars are made from.
select
    d.day,
    max(d.last_id) as last_id
from invalidation_days as d
left join bar_sources as s on d.instrument = s.instrument
left join invalidations_applied as a
    on a.consumer = %(consumer)s and d.relation = a.relation and d.instrument = a.instrument and d.day = a.day
where
    d.relation = any(%(relations)s) and d.last_id > coalesce(a.applied_through, 0)
    and (d.relation not in ('raw_trades', 'raw_agg_trades') or d.relation = coalesce(s.relation, 'raw_trades'))
    and not (
        d.relation = coalesce(s.relation, 'raw_trades')
        and exists (
            select 1 from coverage as c
            where c.instrument = d.instrument and d.relation = 'raw_' || c.stream and c.day = d.day and c.is_dropped
        )
        -- Whether bars are complete is told by the coverage, which stands.
        and exists (
            select 1 from invalidation_log as l
            where
                l.relation = d.relation and l.day = d.day and l.instrument = d.instrument and l.reason <> 'coverage'
                and l.invalidation_id > coalesce(a.applied_through, 0)
        )
    )
    and not (
        d.relation like 'bar\_rules\_%%'
        and exists (
            select 1 from coverage as c
            where
                c.instrument = d.instrument and c.day = d.day and c.is_dropped
                and 'raw_' || c.stream = coalesce(s.relation, 'raw_trades')
        )
    )
group by d.day
having max(d.last_logged_at) < clock_timestamp() - %(settled_for)s::interval
order by d.day
limit %(most)s;
