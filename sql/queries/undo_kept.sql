-- Rows of a batch that another one has replaced since and that stand as that one told them.
select count(*) as kept
from (
    select distinct
        r.instrument,
        r.space,
        r.sequence
    from {revisions} as r
    where r.batch_id = %(undone)s and r.ended_by_batch_id <> %(batch_id)s
) as told
where
    exists (
        select 1 from {table} as t
        where
            t.instrument = told.instrument and t.space = told.space and t.sequence = told.sequence
            and t.event_time >= %(from_time)s::timestamptz - interval '1 day'
            and t.event_time < %(to_time)s::timestamptz + interval '1 day'
    );
