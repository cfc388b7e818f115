-- What each consumer of the invalidation log has not worked off: days, entries, and when the oldest of them was logged. Ticks count where
-- bars are made from them, and not where retention dropped the others of their day: those wait for the others. Of an instrument and day,
-- %(most)s entries are counted at most.
with followed as (
    select
        named.consumer,
        named.relation
    from unnest(%(consumers)s::text[], %(relations)s::text[]) as named (consumer, relation)
),

behind as (
    select
        f.consumer,
        d.relation,
        d.instrument,
        d.day,
        coalesce(a.applied_through, 0) as applied_through
    from followed as f
    inner join invalidation_days as d on f.relation = d.relation
    left join bar_sources as s on d.instrument = s.instrument
    left join invalidations_applied as a
        on f.consumer = a.consumer and d.relation = a.relation and d.instrument = a.instrument and d.day = a.day
    where
        d.last_id > coalesce(a.applied_through, 0)
        and (d.relation not in ('raw_trades', 'raw_agg_trades') or d.relation = coalesce(s.relation, 'raw_trades'))
        and not exists (
            select 1 from coverage as c
            where c.instrument = d.instrument and c.day = d.day and d.relation = 'raw_' || c.stream and c.is_dropped
        )
)

select
    f.consumer,
    count(distinct b.day) as days,
    coalesce(sum(waiting.entries), 0) as entries,
    coalesce(extract(epoch from statement_timestamp() - min(waiting.first_logged_at)), 0) as oldest_seconds
from (select distinct followed.consumer from followed) as f
left join behind as b on f.consumer = b.consumer
left join lateral (
    select
        count(*) as entries,
        min(e.logged_at) as first_logged_at
    from (
        select l.logged_at
        from invalidation_log as l
        where l.relation = b.relation and l.day = b.day and l.instrument = b.instrument and l.invalidation_id > b.applied_through
        order by l.invalidation_id
        limit %(most)s
    ) as e
) as waiting on true
group by f.consumer
order by f.consumer;
