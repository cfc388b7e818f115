-- Those of some instruments of which a tick came or went on a day, and not only the coverage changed, since a consumer looked.
select named.instrument
from unnest(%(instruments)s::text[]) as named (instrument)
where
    exists (
        select 1
        from invalidation_log as l
        left join invalidations_applied as a
            on a.consumer = %(consumer)s and l.relation = a.relation and l.instrument = a.instrument and l.day = a.day
        where
            l.relation = any(%(relations)s) and l.day = %(day)s and l.instrument = named.instrument and l.reason <> 'coverage'
            and l.invalidation_id > coalesce(a.applied_through, 0)
    )
order by named.instrument;
