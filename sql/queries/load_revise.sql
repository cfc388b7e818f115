-- Moves the coarser row of each finer newcomer to the revisions, with the interval in which it was believed.
with replaced as (
    delete from {table} as t
    using judged as j
    where
        j.verdict = 'finer'
        and t.instrument = j.instrument and t.space = j.space and t.sequence = j.sequence and t.event_time = j.stored_time
    returning t.*
)

insert into {revisions} ({columns}, known_at, batch_id, kind, believed_until, ended_by_batch_id)
select
    {columns},
    known_at,
    batch_id,
    'finer_time',
    %(known_at)s,
    %(batch_id)s
from replaced;
