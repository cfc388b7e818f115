-- The files by whose word rows of an instrument and day stand: whether each claims the whole day, and from when to when its rows are.
-- A file of which rows were found known claims nothing until it is read again: they may have gone with the batch that told them first.
select
    f.file_id,
    coalesce(f.declared @> %(day)s::date, false) and bool_and(b.duplicates = 0) as is_declared,
    min(t.event_time) as first_time,
    max(t.event_time) as last_time
from {table} as t
inner join ingest_batches as b on t.batch_id = b.batch_id
inner join landing_files as f on b.file_id = f.file_id
where
    t.instrument = %(instrument)s
    and t.event_time >= %(day)s::timestamp at time zone 'UTC' and t.event_time < (%(day)s::date + 1)::timestamp at time zone 'UTC'
group by f.file_id, f.declared
order by f.file_id;
