-- Notes how far a consumer has worked through the log, per relation and instrument of one day.
insert into invalidations_applied (consumer, relation, instrument, day, applied_through, applied_at)
select
    %(consumer)s,
    done.relation,
    done.instrument,
    %(day)s,
    done.last_id,
    clock_timestamp()
from unnest(%(relations)s::text[], %(instruments)s::text[], %(last_ids)s::bigint[]) as done (relation, instrument, last_id)
on conflict (consumer, relation, instrument, day) do update
    set applied_through = greatest(invalidations_applied.applied_through, excluded.applied_through), applied_at = excluded.applied_at;
