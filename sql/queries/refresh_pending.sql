-- What waits to be refreshed on one day: per instrument the merged windows on the grid of the bars, and for each relation that
-- is followed the last entry seen. Changes of trades wait until those that this consumer is made from show them.
with reach as (
    select
        named.instrument,
        min(coalesce(a.applied_through, 0)) as applied_through
    from unnest(%(instruments)s::text []) as named (instrument)
    cross join unnest(%(upstream)s::text []) as followed (consumer)
    left join invalidations_applied as a
        on followed.consumer = a.consumer and a.relation = 'raw_trades' and named.instrument = a.instrument and a.day = %(day)s
    group by named.instrument
),

pending as (
    select
        l.instrument,
        l.relation,
        range_agg(tstzrange(
            date_bin(%(grid)s::interval, l.from_time, timestamptz '2000-01-01 00:00:00+00'),
            date_bin(%(grid)s::interval, l.to_time - interval '1 microsecond', timestamptz '2000-01-01 00:00:00+00') + %(grid)s::interval
        )) as windows,
        max(l.invalidation_id) as last_id
    from invalidation_log as l
    left join invalidations_applied as a
        on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
    left join reach as r on l.instrument = r.instrument
    where
        l.relation = any(%(relations)s) and l.day = %(day)s and l.instrument = any(%(instruments)s)
        and l.invalidation_id > coalesce(a.applied_through, 0)
        and (l.relation <> 'raw_trades' or l.invalidation_id <= coalesce(r.applied_through, l.invalidation_id))
    group by l.instrument, l.relation
)

select
    p.instrument,
    range_agg(p.windows) as windows,
    array_agg(p.relation) as relations,
    array_agg(p.last_id) as last_ids
from pending as p
group by p.instrument
order by p.instrument;
