-- One instrument's day as stored: ends and count, and where ids are consecutive the holes, in the order of the ids. A row that was
-- cancelled is not there, and is not missing either.
with tape as not materialized (
    select
        t.sequence,
        t.event_time,
        true as is_stored
    from {table} as t
    where
        t.instrument = %(instrument)s and t.space = %(space)s
        and t.event_time >= %(from_time)s and t.event_time < %(to_time)s
    union all
    select
        r.sequence,
        r.event_time,
        false as is_stored
    from {revisions} as r
    where
        r.instrument = %(instrument)s and r.space = %(space)s and r.kind = 'cancellation' and %(is_consecutive)s
        and r.event_time >= %(from_time)s and r.event_time < %(to_time)s
        and not exists (select 1 from ingest_batches as u where u.undoes_batch_id = r.ended_by_batch_id)
),

ordered as (
    select
        tape.sequence,
        tape.event_time,
        tape.is_stored,
        lag(tape.sequence) over by_id as sequence_before,
        lag(tape.event_time) over by_id as time_before
    from tape
    window by_id as (order by tape.sequence)
),

ends as (
    select
        count(*) filter (where o.is_stored) as row_count,
        min(o.event_time) as first_time,
        max(o.event_time) as last_time,
        min(o.sequence) as first_sequence,
        max(o.sequence) as last_sequence,
        coalesce(
            array_agg(
                array[
                    o.sequence_before, (extract(epoch from o.time_before) * 1000000)::bigint,
                    o.sequence, (extract(epoch from o.event_time) * 1000000)::bigint
                ]
                order by o.sequence
            ) filter (where %(is_consecutive)s and o.sequence - o.sequence_before > 1),
            '{{}}'
        ) as holes
    from ordered as o
)

select
    e.row_count,
    e.first_time,
    e.last_time,
    e.first_sequence,
    e.last_sequence,
    (select min(f.event_time) from tape as f where f.sequence = e.first_sequence) as first_id_time,
    (select max(l.event_time) from tape as l where l.sequence = e.last_sequence) as last_id_time,
    e.holes
from ends as e;
