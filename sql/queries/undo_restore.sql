-- Lets stand again what a batch that is taken back had replaced or ended: of each row the last telling that no one took back, where
-- nothing else stands and no other batch cancelled it. Answers where rows came, as undo_take_back does.
with undone as (
    select u.undoes_batch_id as batch_id from ingest_batches as u where u.undoes_batch_id is not null
    union all
    select %(undone)s
),

touched as (
    select distinct
        r.instrument,
        r.space,
        r.sequence
    from {revisions} as r
    where r.ended_by_batch_id = %(undone)s or (r.batch_id = %(undone)s and r.ended_by_batch_id = %(batch_id)s)
),

candidates as (
    select distinct on (r.instrument, r.space, r.sequence) r.*
    from {revisions} as r
    inner join touched as a on r.instrument = a.instrument and r.space = a.space and r.sequence = a.sequence
    where
        r.kind <> 'undo'
        and r.batch_id not in (select u.batch_id from undone as u)
        and r.ended_by_batch_id in (select u.batch_id from undone as u)
        and not exists (
            select 1 from {table} as t
            where
                t.instrument = r.instrument and t.space = r.space and t.sequence = r.sequence
                and t.event_time >= %(from_time)s::timestamptz - interval '1 day'
                and t.event_time < %(to_time)s::timestamptz + interval '1 day'
        )
        and not exists (
            select 1 from {revisions} as c
            where
                c.instrument = r.instrument and c.space = r.space and c.sequence = r.sequence and c.kind = 'cancellation'
                and c.ended_by_batch_id not in (select u.batch_id from undone as u)
        )
    order by r.instrument asc, r.space asc, r.sequence asc, r.revision_id desc
),

restored as (
    insert into {table} ({columns}, known_at, batch_id)
    select
        {columns},
        %(known_at)s,
        batch_id
    from candidates
    returning *
)

select
    s.instrument,
    min(s.event_time) as from_time,
    max(s.event_time) + interval '1 microsecond' as to_time,
    count(*) as restored
from restored as s
group by s.instrument, date_bin('15 minutes', s.event_time, timestamptz '2000-01-01 00:00:00+00')
order by s.instrument, from_time;
