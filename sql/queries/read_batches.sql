-- The batches of some days, with their files and what took them back; narrowed to those of an instrument.
select
    b.batch_id,
    b.file_id,
    b.day,
    b.stream,
    b.time_unit,
    b.rows_read,
    b.rows_stored,
    b.rows_revised,
    b.duplicates,
    b.quarantined,
    b.known_at,
    b.run_id,
    b.seconds,
    b.undoes_batch_id,
    b.reason,
    f.name as file_name,
    u.batch_id as undone_by
from ingest_batches as b
inner join landing_files as f on b.file_id = f.file_id
left join ingest_batches as u on b.batch_id = u.undoes_batch_id
where
    (%(since)s::timestamptz is null or (b.day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or b.day::timestamp at time zone 'UTC' < %(until)s)
    and (
        %(instrument)s::text is null
        or exists (
            select 1 from invalidation_log as l
            where l.batch_id = b.batch_id and l.instrument = %(instrument)s and l.day between b.day - 1 and b.day + 1
        )
    )
order by b.batch_id;
