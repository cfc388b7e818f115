-- The files by whose word rows of an instrument and day stand: whether each claims the whole day, whether every row of it was
-- stored, and from when to when its rows are. Corrections claim nothing.
select
    f.file_id,
    -- A file that claims no days has a range without ends.
    coalesce(lower(f.declared) <= %(day)s::date and upper(f.declared) > %(day)s::date, false) as is_declared,
    bool_and(b.rows_read = b.rows_stored + b.rows_revised) as is_stored,
    min(t.event_time) as first_time,
    max(t.event_time) as last_time
from {table} as t
inner join ingest_batches as b on t.batch_id = b.batch_id
inner join landing_files as f on b.file_id = f.file_id
where
    t.instrument = %(instrument)s and f.stream = %(stream)s
    and t.event_time >= %(day)s::timestamp at time zone 'UTC' and t.event_time < (%(day)s::date + 1)::timestamp at time zone 'UTC'
group by f.file_id, f.declared
order by f.file_id;
