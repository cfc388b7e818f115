-- What is made of some relations and lags behind them on some days. Ticks that are not there any more are nobody's to follow.
select distinct w.consumer
from unnest(%(consumers)s::text[], %(relations)s::text[]) as w (consumer, relation)
inner join invalidation_days as d on w.relation = d.relation
left join bar_sources as s on d.instrument = s.instrument
left join invalidations_applied as a
    on w.consumer = a.consumer and d.relation = a.relation and d.instrument = a.instrument and d.day = a.day
where
    d.day >= %(from_day)s and d.day < %(to_day)s and d.last_id > coalesce(a.applied_through, 0)
    and (d.relation not in ('raw_trades', 'raw_agg_trades') or d.relation = coalesce(s.relation, 'raw_trades'))
    and not exists (
        select 1 from coverage as c
        where c.instrument = d.instrument and d.relation = 'raw_' || c.stream and c.day = d.day and c.is_dropped
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
order by w.consumer;
